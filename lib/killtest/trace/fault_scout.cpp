#define OUTLIVE_OBSERVE_CRASH_BARRIERS  // for the declaration of what the macro calls

#include "killtest/trace/fault_scout.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include <outlive/crash_barrier.hpp>

#include "killtest/process/robust_list.hpp"
#include "killtest/process/unwind.hpp"
#include "killtest/stores/page_shadow.hpp"
#include "killtest/stores/plain_store.hpp"
#include "killtest/stores/scatter.hpp"
#include "killtest/stores/write_guard.hpp"
#include "killtest/trace/transaction_notes.hpp"

namespace outlive::killtest::detail {

namespace {

constexpr std::size_t max_open = 2;         // an instruction that stores across two pages
constexpr std::size_t largest_store = 512;  // fxsave
constexpr std::size_t altstack_bytes = 256 * 1024;

#if defined(__x86_64__)

constexpr greg_t trap_flag = 0x100;

struct open_page {
  char* at = nullptr;
  std::byte before[page_bytes];
};

// Used by the signal handlers of the one traced thread.
struct scout_state {
  store_log* log = nullptr;
  int process = 0;
  write_guard guard;
  char* base = nullptr;
  std::size_t size = 0;
  std::optional<robust_list> list;
  fault_kill kill;
  bool has_kill = false;
  bool stepping = false;
  open_page open[max_open];
  std::size_t open_count = 0;
  bool in_parts = false;
  std::uint32_t stack = 0;
  std::uint32_t executed = 0;  // stores of the tested part
  std::uint32_t held_before = 0;
  std::uint32_t last_held = 0;  // the list of robust locks in the newest entry
  std::uint64_t offsets[max_robust_locks];
  char* altstack = nullptr;
  struct sigaction former_segv;
  struct sigaction former_trap;
};

scout_state* scout = nullptr;

std::uint32_t held_now() noexcept {
  return scout->log->held(scout->offsets,
                          scout->list->offsets(scout->base, scout->size, scout->offsets));
}

// The kernel stores the marks as the thread would: it could not mark mutexes in a page that is not
// writable.
[[noreturn]] void die_here() noexcept {
  scout->guard.open();
  if (scout->kill.instead != nullptr) scout->kill.instead();
  for (;;) ::syscall(SYS_tgkill, ::syscall(SYS_getpid), ::syscall(SYS_gettid), SIGKILL);
}

bool is_due(bool before_next) noexcept {
  return scout->has_kill && scout->kill.before_next == before_next &&
         scout->executed == scout->kill.stores;
}

// A fault that is not ours: die as if nobody had caught it.
void die_of(int signal) noexcept {
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  ::sigaction(signal, &plain, nullptr);  // the instruction faults again
}

void open_to(char* page, ucontext_t& context) noexcept {
  open_page& opened = scout->open[scout->open_count++];
  opened.at = page;
  std::memcpy(opened.before, page, page_bytes);
  scout->guard.let_through(page, context);
}

// The neighbouring page that a store to this address may also reach; nullptr: none. For a store
// that is not aligned, the processor reports either its first byte or the first byte in the second
// page. A scatter traps before it comes to another page. With keys its distant places are not seen;
// the comparison with a run without a log finds that.
char* neighbour(char* address, char* page) noexcept {
  const auto in_page = static_cast<std::size_t>(address - page);
  if (in_page >= page_bytes - largest_store)
    return page + page_bytes < scout->base + scout->size ? page + page_bytes : nullptr;
  return in_page < largest_store && page > scout->base ? page - page_bytes : nullptr;
}

// Of a store that was made just now. Dies, if it is the one.
void log_store(std::uint64_t offset, const std::byte* before, const std::byte* after,
               std::size_t size) noexcept {
  ++scout->executed;
  // A store that changes nothing makes no state of its own.
  const std::uint32_t held_after = held_now();
  if (size != 0 || scout->held_before != scout->last_held || held_after != scout->last_held) {
    scout->log->add({.offset = offset,
                     .size = static_cast<std::uint32_t>(size),
                     .stack = scout->stack,
                     .executed = scout->executed,
                     .held_before = scout->held_before,
                     .held_after = held_after,
                     .in_parts = scout->in_parts},
                    before, after);
    scout->last_held = held_after;
  }
  if (is_due(false)) die_here();
}

// Makes the store for the instruction. Returns: false if it must be let through.
bool make_store(const char* faulted, ucontext_t& context) noexcept {
  const auto store = plain_store_at(context);
  if (!store || faulted < store->to || faulted >= store->to + store->size) return false;
  if (store->to < scout->base || store->to + store->size > scout->base + scout->size) return false;
  std::byte before[sizeof store->bytes];
  std::memcpy(before, store->to, store->size);
  if (!scout->guard.put(store->to, store->bytes, store->size)) return false;
  skip(*store, context);
  std::size_t first = 0;
  std::size_t end = store->size;
  while (first < end && before[first] == store->bytes[first]) ++first;
  while (end > first && before[end - 1] == store->bytes[end - 1]) --end;
  const auto at = static_cast<std::uint64_t>(store->to - scout->base);
  log_store(first == end ? 0 : at + first, before + first, store->bytes + first, end - first);
  return true;
}

// A child that the victim forks has a copy of its private view, and its handlers.
bool is_forked_child() noexcept {
  return ::getpid() != scout->process;
}

void on_fault(int, siginfo_t* info, void* of_victim) noexcept {
  auto& context = *static_cast<ucontext_t*>(of_victim);
  scout->guard.enter();
  // Nobody logs what the child stores: no state of the victim has it. The log's descriptor would
  // write to the victim's memory.
  if (is_forked_child() && scout->guard.is_inside(*info))
    return scout->guard.let_all_through(context);
  if (!scout->guard.is_store(*info, context)) {
    if (!scout->guard.allows_load(*info, context)) die_of(SIGSEGV);
    return;
  }
  if (scout->open_count == max_open) return die_of(SIGSEGV);
  char* const address = static_cast<char*>(info->si_addr);
  char* const page =
      reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(address) & ~(page_bytes - 1));
  if (!scout->stepping) {
    scout->held_before = held_now();
    // The next logged store is the one before which the list has changed.
    if (is_due(true) && scout->held_before != scout->last_held) die_here();
    std::uintptr_t addresses[max_frames];
    scout->stack = scout->log->stack(addresses, unwind(of_victim, addresses));
    scout->in_parts =
        is_scatter(reinterpret_cast<const unsigned char*>(context.uc_mcontext.gregs[REG_RIP]));
    if (make_store(address, context)) return;
    scout->stepping = true;
    context.uc_mcontext.gregs[REG_EFL] |= trap_flag;
  }
  open_to(page, context);
  if (scout->guard.faults_for_each_page()) return;
  if (char* const other = neighbour(address, page)) open_to(other, context);
}

struct changed_bytes {
  const std::byte* before = nullptr;
  const std::byte* after = nullptr;
  std::size_t size = 0;
};

changed_bytes change_of(const open_page& page) noexcept {
  const auto* const after = reinterpret_cast<const std::byte*>(page.at);
  if (std::memcmp(page.before, after, page_bytes) == 0) return {};
  std::size_t first = 0;
  std::size_t last = page_bytes - 1;
  while (std::memcmp(page.before + first, after + first, 8) == 0) first += 8;
  while (page.before[first] == after[first]) ++first;
  while (page.before[last] == after[last]) --last;
  return {page.before + first, after + first, last - first + 1};
}

void on_trap(int, siginfo_t*, void* of_victim) noexcept {
  auto& context = *static_cast<ucontext_t*>(of_victim);
  scout->guard.enter();
  context.uc_mcontext.gregs[REG_EFL] &= ~trap_flag;
  if (!scout->stepping) return die_of(SIGTRAP);
  scout->stepping = false;
  // Two pages that changed on both sides of their border are one store.
  std::byte before[2 * page_bytes];
  std::byte after[2 * page_bytes];
  std::size_t size = 0;
  std::uint64_t offset = 0;
  if (scout->open_count == 2 && scout->open[1].at < scout->open[0].at)
    std::swap(scout->open[0], scout->open[1]);
  for (std::size_t i = 0; i < scout->open_count; ++i) {
    const changed_bytes changed = change_of(scout->open[i]);
    if (changed.size == 0) continue;
    const auto at =
        static_cast<std::uint64_t>(reinterpret_cast<const char*>(changed.after) - scout->base);
    if (size == 0) offset = at;
    // the unchanged bytes between the changes of the two pages
    const std::size_t gap = static_cast<std::size_t>(at - offset) - size;
    if (gap != 0) {
      std::memcpy(before + size, scout->base + offset + size, gap);
      std::memcpy(after + size, scout->base + offset + size, gap);
      size += gap;
    }
    std::memcpy(before + size, changed.before, changed.size);
    std::memcpy(after + size, changed.after, changed.size);
    size += changed.size;
  }
  log_store(offset, before, after, size);
  for (std::size_t i = 0; i < scout->open_count; ++i)
    scout->guard.stop_again(scout->open[i].at, context);
  scout->open_count = 0;
}

void handle(int signal, void (*handler)(int, siginfo_t*, void*) noexcept,
            struct sigaction& former) {
  struct sigaction ours {};
  ours.sa_sigaction = handler;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&ours.sa_mask);
  sigdelset(&ours.sa_mask, SIGSEGV);  // a fault in a handler ends the process
  if (::sigaction(signal, &ours, &former) != 0)
    throw std::system_error(errno, std::generic_category(), "sigaction");
}

bool is_handled(int signal, void (*handler)(int, siginfo_t*, void*) noexcept) noexcept {
  struct sigaction now {};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_sigaction == handler;
}

}  // namespace

void begin_logging(engine how, store_log& log, char* base, std::size_t size, int shared_with,
                   const fault_kill* kill) {
  static scout_state state;  // zero pages until it is used, in the forked process alone
  scout = &state;
  state.log = &log;
  state.process = ::getpid();
  state.base = base;
  state.size = size;
  state.guard.begin(how, base, size, shared_with);
  state.list.emplace();
  state.has_kill = kill != nullptr;
  if (kill != nullptr) state.kill = *kill;
  void* const memory =
      ::mmap(nullptr, altstack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "memory for a signal stack");
  state.altstack = static_cast<char*>(memory);
  stack_t stack{};
  stack.ss_sp = memory;
  stack.ss_size = altstack_bytes;
  if (::sigaltstack(&stack, nullptr) != 0)
    throw std::system_error(errno, std::generic_category(), "sigaltstack");
  prepare_unwind();
  handle(SIGSEGV, &on_fault, state.former_segv);
  handle(SIGTRAP, &on_trap, state.former_trap);
  note_transactions(log, base, size);
  state.last_held = held_now();
  log.begin_tested(state.last_held);
  if (is_due(false)) die_here();
  state.guard.close();
}

void note_barrier(const char* file, unsigned line) noexcept {
  if (scout != nullptr && !is_forked_child()) scout->log->add_barrier(file, line);
}

const char* end_logging() {
  if (is_due(true) && held_now() != scout->last_held) die_here();
  scout->log->finish(held_now(), scout->executed);
  scout->guard.open();
  const bool ours = is_handled(SIGSEGV, &on_fault) && is_handled(SIGTRAP, &on_trap);
  ::sigaction(SIGSEGV, &scout->former_segv, nullptr);
  ::sigaction(SIGTRAP, &scout->former_trap, nullptr);
  if (!ours)
    return "the victim installed its own handler for SIGSEGV or SIGTRAP, which the log of stores "
           "needs";
  return scout->log->overflow();
}

#else

}  // namespace

void begin_logging(engine, store_log&, char*, std::size_t, int, const fault_kill*) {
  throw std::system_error(ENOSYS, std::generic_category(), why_no_page_protection());
}

void note_barrier(const char*, unsigned) noexcept {}

const char* end_logging() {
  return why_no_page_protection();
}

#endif

}  // namespace outlive::killtest::detail

void outlive::detail::passed_crash_barrier(const char* file, unsigned line) noexcept {
  outlive::killtest::detail::note_barrier(file, line);
}
