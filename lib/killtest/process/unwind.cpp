#include "killtest/process/unwind.hpp"

#define UNW_LOCAL_ONLY
#include <dlfcn.h>
#include <fcntl.h>
#include <libunwind.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <span>

namespace outlive::killtest::detail {

namespace {

// libunwind exports _Unwind_RaiseException and its relatives. A program that links it sends all its
// C++ exceptions through it. So it is loaded with RTLD_LOCAL, which keeps its symbols out of the
// look-up of others, and the functions are found by name.
struct unwinder {
  decltype(&unw_init_local2) init = nullptr;
  decltype(&unw_step) step = nullptr;
  decltype(&unw_get_reg) get = nullptr;
  decltype(&unw_backtrace) fast = nullptr;
};

#define NAME_OF_EXPANDED(name) #name
#define NAME_OF(name) NAME_OF_EXPANDED(name)

unwinder load() noexcept {
  void* const library = ::dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {};
  unwinder made;
  made.init = reinterpret_cast<decltype(made.init)>(::dlsym(library, NAME_OF(unw_init_local2)));
  made.step = reinterpret_cast<decltype(made.step)>(::dlsym(library, NAME_OF(unw_step)));
  made.get = reinterpret_cast<decltype(made.get)>(::dlsym(library, NAME_OF(unw_get_reg)));
  made.fast = reinterpret_cast<decltype(made.fast)>(::dlsym(library, "unw_backtrace"));
  const auto set_policy = reinterpret_cast<decltype(&unw_set_caching_policy)>(
      ::dlsym(library, NAME_OF(unw_set_caching_policy)));
  auto* const space =
      reinterpret_cast<unw_addr_space_t*>(::dlsym(library, NAME_OF(unw_local_addr_space)));
  if (made.init == nullptr || made.step == nullptr || made.get == nullptr) return {};
  if (set_policy != nullptr && space != nullptr) set_policy(*space, UNW_CACHE_PER_THREAD);
  return made;
}

const unwinder& the_unwinder() noexcept {
  static const unwinder loaded = load();
  return loaded;
}

std::uintptr_t instruction_of(void* context) noexcept {
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(machine.gregs[REG_RIP]);
#else
  return machine.pc;
#endif
}

// unw_backtrace() also goes through the handler's own frames, which the cursor does not. But it
// remembers how each return address is unwound and makes no system call, while the cursor masks
// signals at each step. Returns 0 if the interrupted instruction is not among the frames.
std::size_t unwind_fast(const unwinder& by, std::uintptr_t (&addresses)[max_frames]) noexcept {
  constexpr std::size_t frames_of_handler = 8;
  void* frames[max_frames + frames_of_handler];
  const int got = by.fast == nullptr ? 0 : by.fast(frames, static_cast<int>(std::size(frames)));
  const auto all = std::span(frames, static_cast<std::size_t>(std::max(got, 0)));
  const auto interrupted = std::find(all.begin(), all.end(), reinterpret_cast<void*>(addresses[0]));
  const auto count =
      std::min<std::size_t>(static_cast<std::size_t>(all.end() - interrupted), max_frames);
  std::transform(interrupted, interrupted + static_cast<std::ptrdiff_t>(count), addresses,
                 [](void* each) { return reinterpret_cast<std::uintptr_t>(each); });
  return count;
}

// Descriptors 0 to 2 that are closed are open while this lives: libunwind opens a pipe at its first
// use, and keeps it.
class open_standard_numbers {
 public:
  open_standard_numbers() noexcept {
    for (int number = 0; number <= STDERR_FILENO; ++number) {
      if (::fcntl(number, F_GETFD) >= 0) continue;
      const int opened = ::open("/dev/null", O_RDWR | O_CLOEXEC);
      if (opened == number) opened_[number] = true;
    }
  }
  ~open_standard_numbers() {
    for (int number = 0; number <= STDERR_FILENO; ++number) {
      if (opened_[number]) ::close(number);
    }
  }
  open_standard_numbers(const open_standard_numbers&) = delete;
  open_standard_numbers& operator=(const open_standard_numbers&) = delete;

 private:
  bool opened_[STDERR_FILENO + 1] = {};
};

}  // namespace

void prepare_unwind() {
  const open_standard_numbers keep;
  ucontext_t here;
  std::uintptr_t addresses[max_frames];
  if (::getcontext(&here) == 0) static_cast<void>(unwind(&here, addresses));
}

std::size_t unwind(void* context, std::uintptr_t (&addresses)[max_frames]) noexcept {
  const unwinder& by = the_unwinder();
  addresses[0] = instruction_of(context);
  if (const std::size_t count = unwind_fast(by, addresses)) return count;
  unw_cursor_t cursor;
  if (by.init == nullptr ||
      by.init(&cursor, static_cast<unw_context_t*>(context), UNW_INIT_SIGNAL_FRAME) != 0)
    return 1;
  std::size_t count = 1;
  while (count < max_frames && by.step(&cursor) > 0) {
    unw_word_t address = 0;
    if (by.get(&cursor, UNW_REG_IP, &address) != 0 || address == 0) break;
    addresses[count++] = address;
  }
  return count;
}

}  // namespace outlive::killtest::detail
