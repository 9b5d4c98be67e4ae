#include "killtest/schedule/scheduled_process.hpp"

#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <system_error>

#include "killtest/process/robust_list.hpp"
#include "killtest/schedule/access.hpp"
#include "killtest/schedule/call_trap.hpp"
#include "killtest/schedule/virtual_clock.hpp"
#include "killtest/stores/page_shadow.hpp"

namespace outlive::killtest::detail {

#if defined(__x86_64__)

namespace {

constexpr greg_t single_step_flag = 0x100;
constexpr greg_t fault_of_store = 2;        // of the page fault's error code
constexpr std::size_t most_open_pages = 4;  // pages that one instruction accesses
constexpr std::size_t signal_stack_bytes = 256 * 1024;

// Of the one thread of this process, and its signal handlers.
struct process_state {
  scheduled_memory memory{};
  scheduled_turn* turn = nullptr;
  unsigned self = 0;
  std::optional<robust_list> list;
  bool stepping = false;
  char* open[most_open_pages] = {};
  std::size_t open_count = 0;
  std::uint64_t offsets[max_robust_locks] = {};
};

process_state* process = nullptr;

// ---- what it holds -----------------------------------------------------------------------------

// Returns: whether the memory is there. A broken list leads anywhere.
bool read_memory(const void* at, void* into, std::size_t bytes) noexcept {
  const scheduled_memory& of = process->memory;
  const std::uintptr_t offset =
      reinterpret_cast<std::uintptr_t>(at) - reinterpret_cast<std::uintptr_t>(of.base);
  if (offset < of.size && of.size - offset >= bytes) {
    std::memcpy(into, of.alias + offset, bytes);
    return true;
  }
  const iovec here{into, bytes};
  const iovec there{const_cast<void*>(at), bytes};
  return ::process_vm_readv(::getpid(), &here, 1, &there, 1, 0) == static_cast<ssize_t>(bytes);
}

// A mutex on the list is acquired. The pending one may be so.
struct acquired_only {
  template <class T>
  bool operator()(const void* at, T& value) const noexcept {
    return read_memory(at, &value, sizeof value);
  }
  bool operator()(const void* at, robust_list_head& value) const noexcept {
    std::memcpy(&value, at, sizeof value);  // the thread's own
    value.list_op_pending = nullptr;
    return true;
  }
};

void note_locks() noexcept {
  scheduled_turn& turn = *process->turn;
  const char* const base = process->memory.base;
  const auto count = read_robust_list(process->list->head(), base, process->memory.size,
                                      acquired_only(), process->offsets);
  turn.held_count =
      static_cast<std::uint32_t>(std::min(count.value_or(0), std::size_t{max_noted_locks}));
  std::copy_n(process->offsets, turn.held_count, turn.held);
  robust_list_head head;
  std::memcpy(&head, process->list->head(), sizeof head);
  const std::uint64_t pending =
      (reinterpret_cast<std::uintptr_t>(head.list_op_pending) & ~std::uintptr_t{1}) +
      static_cast<std::uint64_t>(head.futex_offset) - reinterpret_cast<std::uintptr_t>(base);
  turn.pending =
      head.list_op_pending != nullptr && pending < process->memory.size ? pending : no_word;
}

void compare_locks() noexcept {
  turns& shared = *process->memory.shared;
  const scheduled_turn& mine = *process->turn;
  for (unsigned other = 0; other < max_scheduled; ++other) {
    if (other == process->self || (shared.alive >> other & 1U) == 0) continue;
    const scheduled_turn& theirs = shared.of[other];
    for (std::uint32_t i = 0; i < mine.held_count; ++i) {
      const auto* const end = theirs.held + theirs.held_count;
      if (shared.shared_lock != no_word || std::find(theirs.held, end, mine.held[i]) == end)
        continue;
      shared.shared_lock = mine.held[i];
      shared.sharers[0] = other;
      shared.sharers[1] = process->self;
    }
  }
}

// ---- turns -------------------------------------------------------------------------------------

void call_futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) noexcept {
  untrapped_call(SYS_futex, static_cast<long>(reinterpret_cast<std::uintptr_t>(&word)), operation,
                 static_cast<long>(value));
}

void hand_over(stop_reason why) noexcept {
  turns& shared = *process->memory.shared;
  process->turn->why = why;
  shared.stopped.store(1, std::memory_order_release);
  call_futex(shared.stopped, FUTEX_WAKE, 1);
  while (process->turn->go.exchange(0, std::memory_order_acquire) == 0)
    call_futex(process->turn->go, FUTEX_WAIT, 0);
}

bool set_access_to_all(int how) noexcept {
  const scheduled_memory& of = process->memory;
  return ::mprotect(of.base + of.closed_from, of.size - of.closed_from, how) == 0;
}

// The kernel marks no mutex in a page that is closed.
void open_all() noexcept {
  if (!set_access_to_all(PROT_READ | PROT_WRITE)) ::abort();
}

[[noreturn]] void die_in_turn() noexcept {
  note_locks();
  open_all();
  hand_over(stop_reason::dies);
  for (;;)
    untrapped_call(SYS_tgkill, untrapped_call(SYS_getpid), untrapped_call(SYS_gettid), SIGKILL);
}

void note_stack(void* context) noexcept {
  if (!process->memory.shared->with_stacks) return;
  process->turn->stack_size = static_cast<std::uint32_t>(unwind(context, process->turn->stack));
}

// Right before the thread does this.
void pass(point_kind kind, std::uint64_t offset, std::size_t size, bool is_first,
          void* context) noexcept {
  turns& shared = *process->memory.shared;
  scheduled_turn& turn = *process->turn;
  if (is_first) {
    note_locks();
    compare_locks();
    while (turn.points == turn.until) {
      note_stack(context);
      if (turn.dies) die_in_turn();
      hand_over(stop_reason::paused);
    }
  }
  if (shared.point_count >= shared.most_points) {
    note_stack(context);
    hand_over(stop_reason::too_long);
  }
  logged_point& made = shared.points[shared.point_count++];
  made = {.offset = static_cast<std::uint32_t>(offset),
          .index = turn.points,
          .size = static_cast<std::uint8_t>(size),
          .thread = static_cast<std::uint8_t>(process->self),
          .kind = kind,
          .is_first = is_first};
  if (is_first) ++turn.points;
}

// ---- accesses ----------------------------------------------------------------------------------

// A fault that is not ours: die as if nobody had caught it.
void die_as_if_uncaught(int signal) noexcept {
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  ::sigaction(signal, &plain, nullptr);  // the instruction faults again
}

void set_access(char* page, int how) noexcept {
  if (::mprotect(page, page_bytes, how) != 0) ::abort();
}

void on_access(int, siginfo_t* info, void* interrupted) noexcept {
  auto& context = *static_cast<ucontext_t*>(interrupted);
  char* const address = static_cast<char*>(info->si_addr);
  const scheduled_memory& memory = process->memory;
  if (info->si_code != SEGV_ACCERR || address < memory.base + memory.closed_from ||
      address >= memory.base + memory.size || process->open_count == most_open_pages) {
    note_stack(interrupted);
    return die_as_if_uncaught(SIGSEGV);
  }
  const memory_access access =
      decode_access(reinterpret_cast<const unsigned char*>(context.uc_mcontext.gregs[REG_RIP]));
  const bool is_store = (context.uc_mcontext.gregs[REG_ERR] & fault_of_store) != 0;
  pass(access.is_atomic ? point_kind::atomic
       : is_store       ? point_kind::store
                        : point_kind::load,
       static_cast<std::uint64_t>(address - memory.base), access.widest, !process->stepping,
       interrupted);
  process->stepping = true;
  context.uc_mcontext.gregs[REG_EFL] |= single_step_flag;
  char* const page =
      reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(address) & ~(page_bytes - 1));
  process->open[process->open_count++] = page;
  set_access(page, PROT_READ | PROT_WRITE);
}

void on_trap(int, siginfo_t*, void* interrupted) noexcept {
  auto& context = *static_cast<ucontext_t*>(interrupted);
  context.uc_mcontext.gregs[REG_EFL] &= ~single_step_flag;
  if (!process->stepping) return die_as_if_uncaught(SIGTRAP);
  process->stepping = false;
  for (std::size_t i = 0; i < process->open_count; ++i) set_access(process->open[i], PROT_NONE);
  process->open_count = 0;
}

// ---- calls -------------------------------------------------------------------------------------

std::int64_t nanoseconds_of(const timespec& time) noexcept {
  constexpr std::int64_t second = 1'000'000'000;
  constexpr std::int64_t many = no_deadline / second / 2;
  return std::clamp<std::int64_t>(time.tv_sec, 0, many) * second + time.tv_nsec;
}

struct trapped_call {
  long number;
  greg_t* registers;
  void* context;
  [[nodiscard]] long argument(int index) const noexcept {
    constexpr int of[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
    return static_cast<long>(registers[of[index]]);
  }
  template <class T>
  [[nodiscard]] const T* pointer(int index) const noexcept {
    return reinterpret_cast<const T*>(argument(index));
  }
};

// Returns: what the scheduler says.
long wait_for_turn(const trapped_call& call, std::uint64_t word, std::int64_t deadline) noexcept {
  scheduled_turn& turn = *process->turn;
  turn.word = word;
  turn.deadline = deadline;
  note_locks();
  note_stack(call.context);
  hand_over(stop_reason::waits);
  if (turn.dies) die_in_turn();
  return static_cast<long>(turn.result);
}

std::int64_t after(const timespec& span) noexcept {
  return process->memory.shared->now + nanoseconds_of(span);
}

// A time of CLOCK_REALTIME or of another clock.
std::int64_t at_time(const timespec& time, bool is_realtime) noexcept {
  return nanoseconds_of(time) - virtual_monotonic() - (is_realtime ? virtual_realtime_ahead() : 0);
}

// What a call points to, which is there.
void read_argument(const void* at, void* into, std::size_t bytes) noexcept {
  const std::uintptr_t offset =
      reinterpret_cast<std::uintptr_t>(at) - reinterpret_cast<std::uintptr_t>(process->memory.base);
  std::memcpy(into, offset < process->memory.size ? process->memory.alias + offset : at, bytes);
}

long emulate_wait(const trapped_call& call, std::uint64_t word, bool is_absolute,
                  bool is_realtime) noexcept {
  const void* const at = word == no_word ? call.pointer<void>(0) : process->memory.alias + word;
  std::uint32_t now = 0;
  std::memcpy(&now, at, sizeof now);
  if (now != static_cast<std::uint32_t>(call.argument(2))) return -EAGAIN;
  const auto* const limit = call.pointer<timespec>(3);
  timespec time{};
  if (limit != nullptr) read_argument(limit, &time, sizeof time);
  return wait_for_turn(call, word,
                       limit == nullptr ? no_deadline
                       : is_absolute    ? at_time(time, is_realtime)
                                        : after(time));
}

long futex_call(const trapped_call& call) noexcept {
  const std::uint64_t offset = static_cast<std::uint64_t>(call.argument(0)) -
                               reinterpret_cast<std::uintptr_t>(process->memory.base);
  // nobody else uses a word of this process: it has one thread
  const std::uint64_t word = offset < process->memory.size ? offset : no_word;
  pass(point_kind::call, word == no_word ? no_offset : word, sizeof(std::uint32_t), true,
       call.context);
  const long operation = call.argument(1);
  const bool is_realtime = (operation & FUTEX_CLOCK_REALTIME) != 0;
  scheduled_turn& turn = *process->turn;
  switch (operation & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)) {
    case FUTEX_WAIT: return emulate_wait(call, word, false, is_realtime);
    case FUTEX_WAIT_BITSET: return emulate_wait(call, word, true, is_realtime);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
      if (word == no_word) return 0;
      turn.word = word;
      turn.count = static_cast<std::uint32_t>(call.argument(2));
      note_stack(call.context);
      hand_over(stop_reason::wakes);
      return static_cast<long>(turn.result);
    default:
      turn.count = static_cast<std::uint32_t>(operation);
      note_stack(call.context);
      hand_over(stop_reason::unknown_call);
      return -ENOSYS;
  }
}

long sleep_call(const trapped_call& call) noexcept {
  pass(point_kind::call, no_offset, 0, true, call.context);
  const bool with_clock = call.number == SYS_clock_nanosleep;
  timespec time{};
  read_argument(call.pointer<void>(with_clock ? 2 : 0), &time, sizeof time);
  const bool is_absolute = with_clock && (call.argument(1) & TIMER_ABSTIME) != 0;
  const bool is_realtime = with_clock && call.argument(0) == CLOCK_REALTIME;
  wait_for_turn(call, no_word, is_absolute ? at_time(time, is_realtime) : after(time));
  return 0;
}

long yield_call(const trapped_call& call) noexcept {
  pass(point_kind::call, no_offset, 0, true, call.context);
  note_stack(call.context);
  hand_over(stop_reason::yields);
  return 0;
}

void on_call(int, siginfo_t* info, void* interrupted) noexcept {
  auto& context = *static_cast<ucontext_t*>(interrupted);
  greg_t* const registers = context.uc_mcontext.gregs;
  const trapped_call call{info->si_syscall, registers, interrupted};
  const int error = errno;
  switch (call.number) {
    case SYS_futex: registers[REG_RAX] = futex_call(call); break;
    case SYS_nanosleep:
    case SYS_clock_nanosleep: registers[REG_RAX] = sleep_call(call); break;
    case SYS_sched_yield: registers[REG_RAX] = yield_call(call); break;
    default: registers[REG_RAX] = -ENOSYS; break;
  }
  errno = error;
}

// ---- life --------------------------------------------------------------------------------------

void catch_signal(int signal, void (*handler)(int, siginfo_t*, void*) noexcept) {
  struct sigaction ours {};
  ours.sa_sigaction = handler;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&ours.sa_mask);
  sigdelset(&ours.sa_mask, SIGSEGV);  // a fault in a handler ends the process
  if (::sigaction(signal, &ours, nullptr) != 0)
    throw std::system_error(errno, std::generic_category(), "sigaction");
}

void begin_turns() {
  void* const memory = ::mmap(nullptr, signal_stack_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "memory for a signal stack");
  stack_t stack{};
  stack.ss_sp = memory;
  stack.ss_size = signal_stack_bytes;
  if (::sigaltstack(&stack, nullptr) != 0)
    throw std::system_error(errno, std::generic_category(), "sigaltstack");
  if (process->memory.shared->with_stacks) prepare_unwind();
  catch_signal(SIGSEGV, &on_access);
  catch_signal(SIGTRAP, &on_trap);
  catch_signal(SIGSYS, &on_call);
  use_virtual_clock(&process->memory.shared->now);
  trap_calls();
  note_locks();
  hand_over(stop_reason::ready);
  if (!set_access_to_all(PROT_NONE))
    throw std::system_error(errno, std::generic_category(), "mprotect: the segment");
}

}  // namespace

void run_in_turns(const scheduled_memory& memory, unsigned self,
                  const std::function<void()>& body) {
  static process_state state;
  process = &state;
  state.memory = memory;
  state.turn = &memory.shared->of[self];
  state.self = self;
  state.list.emplace();
  begin_turns();
  body();
  note_locks();
  state.turn->stack_size = 0;
  open_all();
  hand_over(stop_reason::ends);
  ::_exit(0);
}

#else

void run_in_turns(const scheduled_memory&, unsigned, const std::function<void()>&) {
  throw std::system_error(ENOSYS, std::generic_category(), why_no_call_trap());
}

#endif

}  // namespace outlive::killtest::detail
