// The handler. A thread is in one of three phases: at peace; recording; passing on, that is, inside
// the program's own handler or about to die.
//
// A signal while recording jumps back to the start of that part of the recording, which is then
// over: each part leaves a whole note behind. A signal while passing on is noted as the second
// crash. The note of the first stays, because it is the cause.
#include <outlive/crash_recorder.hpp>

#include <setjmp.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <system_error>

#include "crash/alternate_stack.hpp"
#include "crash/dispositions.hpp"
#include "crash/module_map.hpp"
#include "crash/registers.hpp"
#include "crash/unwinder.hpp"
#include "records/crash_note.hpp"

namespace outlive {

namespace {

enum class phase : int { peace, recording, passing_on };

// initial-exec (meson.build): its first use allocates nothing.
struct thread_state {
  phase now;
  std::uintptr_t handler;  // an address in the frame of the handler that passes on
  sigjmp_buf* begun;       // the start of the part that records
};
constinit thread_local thread_state state{phase::peace, 0, nullptr};

constinit std::atomic<bool> recording{false};

// Returns: false if a signal interrupted it.
template <class Body>
[[gnu::noinline]] bool guarded(Body body) noexcept {
  sigjmp_buf here;
  state.begun = &here;
  if (sigsetjmp(here, 0) != 0) return false;
  state.now = phase::recording;
  body();
  return true;
}

std::uint64_t address_of(int number, const siginfo_t& info) noexcept {
  return info.si_code > 0 && number != SIGABRT ? reinterpret_cast<std::uint64_t>(info.si_addr) : 0;
}

void record(int number, const siginfo_t& info, const ucontext_t& context) noexcept {
  const bool whole = guarded([&] {
    const crash::registers at(context);
    if (!detail::begin_crash_notes({number, info.si_code, address_of(number, info),
                                    at.values[crash::registers::instruction]}))
      return;
    if (crash::left_on_alternate_stack() < crash::unwind_stack_bytes) return;
    std::uint64_t frames[crash::max_frames];
    detail::add_crash_frames(frames, crash::unwind(context, frames));
  });
  if (!whole) guarded([] { detail::mark_crash_nested(); });
}

// Whether the interrupted code runs on top of a handler of ours that passes on. Otherwise the
// program has jumped out of its own handler since.
bool is_inside_former(const ucontext_t& context) noexcept {
  constexpr std::uintptr_t most = 8 * 1024 * 1024;
  const auto interrupted = static_cast<std::uintptr_t>(
      crash::registers(context).values[crash::registers::stack_pointer]);
  return interrupted < state.handler && state.handler - interrupted < most;
}

void on_signal(int number, siginfo_t* info, void* argument) {
  const int error = errno;
  if (state.now == phase::recording) siglongjmp(*state.begun, 1);
  const auto& context = *static_cast<const ucontext_t*>(argument);
  const bool second = state.now == phase::passing_on && is_inside_former(context);
  if (second) {
    guarded([] { detail::mark_crash_nested(); });
  } else if (recording.load(std::memory_order_relaxed)) {
    record(number, *info, context);
  }
  state.now = phase::passing_on;
  state.handler = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const crash::passed to = crash::pass_on(number, info, argument);
  if (to == crash::passed::to_death) return;
  // The program goes on, unless it is in abort(), which ends it even if the signal does not.
  const bool aborts = number == SIGABRT && crash::is_own(*info);
  if (!second && !aborts) guarded([] { detail::clear_crash_notes(); });
  state.now = second ? phase::passing_on : phase::peace;
  errno = error;
}

void on_new_record() noexcept {
  crash::ensure_alternate_stack();
  crash::refresh_module_map();
}

// Guards the count and what depends on it.
std::mutex& install_mutex() {
  static std::mutex& mutex = *new std::mutex;
  return mutex;
}
unsigned installed = 0;

}  // namespace

crash_recorder::crash_recorder() {
  const std::lock_guard hold(install_mutex());
  crash::prepare_unwinder();
  this_thread();
  if (installed == 0) {
    crash::install_handlers(&on_signal);
    detail::set_record_hook(&on_new_record);
    recording.store(true);
  }
  ++installed;
}

crash_recorder::~crash_recorder() {
  const std::lock_guard hold(install_mutex());
  if (--installed != 0) return;
  recording.store(false);
  detail::set_record_hook(nullptr);
  crash::restore_handlers(&on_signal);
}

void crash_recorder::this_thread() {
  crash::prepare_alternate_stacks();
  crash::refresh_module_map();
  const int rc = crash::ensure_alternate_stack();
  if (rc != 0)
    throw std::system_error(rc, std::generic_category(),
                            "alternate stack for the handlers of signals");
}

std::string crash_recorder::problem() {
  return crash::prepare_unwinder();
}

}  // namespace outlive
