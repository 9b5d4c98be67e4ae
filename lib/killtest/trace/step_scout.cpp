#include "killtest/trace/step_scout.hpp"

#include <link.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <vector>

#include "killtest/process/child_process.hpp"
#include "killtest/process/robust_list.hpp"
#include "killtest/stacks/process_stacks.hpp"
#include "killtest/state/private_view.hpp"
#include "killtest/stores/page_shadow.hpp"
#include "killtest/stores/scatter.hpp"
#include "killtest/trace/transaction_notes.hpp"

namespace outlive::killtest::detail {

namespace {

// The C library has the same address in all processes that this one forks.
class code_of_libc {
 public:
  code_of_libc() {
    const auto look = [](dl_phdr_info* module, std::size_t, void* into) {
      auto& range = *static_cast<code_of_libc*>(into);
      for (unsigned i = 0; i < module->dlpi_phnum; ++i) {
        const ElfW(Phdr)& part = module->dlpi_phdr[i];
        if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
        range.begin_ = module->dlpi_addr + part.p_vaddr;
        range.end_ = range.begin_ + part.p_memsz;
        if (range.has(reinterpret_cast<std::uintptr_t>(&::getppid))) return 1;
      }
      range.begin_ = range.end_ = 0;
      return 0;
    };
    ::dl_iterate_phdr(look, this);
  }
  [[nodiscard]] bool has(std::uintptr_t address) const noexcept {
    return address >= begin_ && address < end_;
  }

 private:
  std::uintptr_t begin_ = 0;
  std::uintptr_t end_ = 0;
};

// The progress of the traced process.
class traced {
 public:
  traced(int pid, store_log& log, const segment& seg, int fd, const char* bytes, run_code* seen)
      : pid_(pid),
        log_(log),
        seen_(seen),
        base_(base_of(seg)),
        bytes_(bytes),
        size_(seg.size_bytes()),
        shadow_(fd, bytes, size_) {}

  // Finds the thread's list. Requires: the process is stopped.
  void begin() {
    list_.emplace(pid_);
    look_at_list();
    at_begin_ = offsets_;
    log_.begin_tested(held_);
    set_up_ = log_.count();
  }

  // Executes one instruction. Returns: the signal that stopped the process after it; 0 if it has
  // ended.
  int step(int deliver) {
    const std::uintptr_t at = instruction();
    note_call(at);
    if (seen_ != nullptr) note_code(at);
    // ESRCH: its time was over between two steps; waitpid() reports that.
    if (::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, deliver) != 0) {
      if (errno != ESRCH)
        throw std::system_error(errno, std::generic_category(), "PTRACE_SINGLESTEP");
    } else {
      last_at_ = at;
    }
    int status = 0;
    if (::waitpid(pid_, &status, 0) != pid_)
      throw std::system_error(errno, std::generic_category(), "waitpid");
    if (!WIFSTOPPED(status)) {
      status_ = status;
      return 0;
    }
    compare(at);
    return WSTOPSIG(status);
  }

  [[nodiscard]] bool is_at(const step_kill& kill) const {
    return logged() == kill.stores && offsets_ == kill.held;
  }
  void finish() { log_.finish(held_, logged()); }
  [[nodiscard]] int status() const noexcept { return status_; }
  // The present instruction; inside the C library, the call of it.
  [[nodiscard]] std::uintptr_t place() const noexcept {
    return libc_.has(last_at_) ? called_at_ : last_at_;
  }

 private:
#if defined(__x86_64__)
  [[nodiscard]] std::uintptr_t from_user(std::size_t offset) const noexcept {
    return static_cast<std::uintptr_t>(::ptrace(PTRACE_PEEKUSER, pid_, offset, nullptr));
  }
  [[nodiscard]] std::uintptr_t instruction() const noexcept {
    return from_user(offsetof(user_regs_struct, rip));
  }
  [[nodiscard]] std::uintptr_t top_of_stack() const noexcept {
    return from_user(offsetof(user_regs_struct, rsp));
  }
#else
  [[nodiscard]] std::uintptr_t instruction() const noexcept {
    return 0;
  }
  [[nodiscard]] std::uintptr_t top_of_stack() const noexcept {
    return 0;
  }
#endif

  // Records the caller at the first instruction of a call into the C library, from the top of the
  // stack: the stubs between them have no name.
  void note_call(std::uintptr_t at) noexcept {
    if (!libc_.has(at) || libc_.has(last_at_)) return;
    std::uintptr_t to = 0;
    if (read(reinterpret_cast<const void*>(top_of_stack()), &to, sizeof to)) called_at_ = to - 1;
  }

  void note_code(std::uintptr_t at) {
    if (libc_.has(at)) return;
    seen_->all.insert(at);
    const auto is_new = [this](std::uint64_t each) {
      return std::find(at_begin_.begin(), at_begin_.end(), each) == at_begin_.end();
    };
    if (std::any_of(offsets_.begin(), offsets_.end(), is_new)) seen_->with_mutex.insert(at);
  }

  void compare(std::uintptr_t at) {
    const std::uint32_t held_before = held_;
    const byte_range changed = shadow_.look();
    look_at_list();
    if (changed.size() == 0) return;
    log_.add({.offset = changed.begin,
              .size = static_cast<std::uint32_t>(changed.size()),
              .stack = log_.stack(&at, 1),
              .executed = logged() + 1,
              .held_before = held_before,
              .held_after = held_,
              .in_parts = is_scatter_at(at)},
             shadow_.before(changed), reinterpret_cast<const std::byte*>(bytes_ + changed.begin));
    shadow_.update(changed);
  }

  // The page behind a short instruction need not be there.
  [[nodiscard]] bool is_scatter_at(std::uintptr_t at) const noexcept {
    unsigned char code[15] = {};
    constexpr std::size_t without_prefixes = 7;
    const auto* const place = reinterpret_cast<const void*>(at);
    return (read(place, code, sizeof code) || read(place, code, without_prefixes)) &&
           is_scatter(code);
  }

  // A store that changes nothing is not seen from outside and does not count.
  [[nodiscard]] std::uint32_t logged() const noexcept {
    return static_cast<std::uint32_t>(log_.count() - set_up_);
  }

  bool read(const void* at, void* into, std::size_t bytes) const noexcept {
    const std::uintptr_t offset =
        reinterpret_cast<std::uintptr_t>(at) - reinterpret_cast<std::uintptr_t>(base_);
    if (offset < size_ && size_ - offset >= bytes) {
      std::memcpy(into, bytes_ + offset, bytes);
      return true;
    }
    const iovec here{into, bytes};
    const iovec there{const_cast<void*>(at), bytes};
    return ::process_vm_readv(pid_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(bytes);
  }

  void look_at_list() {
    const auto from_it = [this](const void* at, auto& value) {
      return read(at, &value, sizeof value);
    };
    const auto count = read_robust_list(list_->head(), base_, size_, from_it, found_.data());
    if (!count || std::equal(offsets_.begin(), offsets_.end(), found_.begin(),
                             found_.begin() + static_cast<std::ptrdiff_t>(*count)))
      return;
    offsets_.assign(found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(*count));
    held_ = log_.held(offsets_.data(), offsets_.size());
  }

  int pid_;
  store_log& log_;
  run_code* seen_;
  const char* base_;
  const char* bytes_;
  std::size_t size_;
  page_shadow shadow_;
  std::optional<robust_list> list_;
  std::vector<std::uint64_t> found_ = std::vector<std::uint64_t>(max_robust_locks);
  held_locks offsets_;
  held_locks at_begin_;  // of the tested part
  std::uint32_t held_ = 0;
  std::size_t set_up_ = 0;
  int status_ = 0;
  const code_of_libc libc_;
  std::uintptr_t last_at_ = 0;
  std::uintptr_t called_at_ = 0;
};

void stop_here() {
  ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), SIGSTOP);
}

// A wait of its own, because the process may be stopped.
void kill_and_wait(int pid) noexcept {
  ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, __WALL) == pid && !WIFEXITED(status) && !WIFSIGNALED(status)) {
  }
}

// A process that starts in the same tick as the one before it stores a start time that is already
// there. That store would not be seen, and later stores would have other numbers than in the run
// that is repeated.
void await_next_tick() noexcept {
  constexpr long second = 1'000'000'000;
  const long tick = second / ::sysconf(_SC_CLK_TCK);
  timespec until{};
  ::clock_gettime(CLOCK_BOOTTIME, &until);
  until.tv_nsec = (until.tv_nsec / tick + 1) * tick;
  if (until.tv_nsec >= second) until = {until.tv_sec + 1, until.tv_nsec - second};
  while (::clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

std::string not_done(const traced& process, std::chrono::milliseconds limit) {
  process_stacks names;
  return "was not done in " + std::to_string(limit.count()) + " ms, step by step; it had come to " +
         to_string(names.describe({process.place()}));
}

// Follows it to its end, or until it is killed. Returns: what went wrong.
std::string follow(traced& process, int pid, const step_kill* kill, std::chrono::milliseconds limit,
                   std::chrono::steady_clock::time_point deadline) {
  process.begin();
  int deliver = 0;
  for (;;) {
    if (kill != nullptr && process.is_at(*kill)) {
      kill_and_wait(pid);
      return {};
    }
    const int stopped_by = process.step(deliver);
    if (stopped_by == 0) {
      const process_end ended{true, process.status()};
      if (ended.signalled() && ended.signal() == SIGKILL &&
          std::chrono::steady_clock::now() >= deadline)
        return not_done(process, limit);
      return "it " + to_string(ended);
    }
    if (stopped_by == SIGSTOP) break;
    deliver = stopped_by == SIGTRAP ? 0 : stopped_by;
  }
  process.finish();
  kill_and_wait(pid);
  return kill == nullptr ? std::string() : "it came to its end";
}

}  // namespace

const char* why_no_single_steps() {
#if defined(__x86_64__)
  const pid_t pid = start_process([] {
    die_after(std::chrono::seconds(10));
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
    stop_here();
  });
  int status = 0;
  const bool may = ::waitpid(pid, &status, 0) == pid && WIFSTOPPED(status);
  if (may) kill_and_wait(pid);
  return may ? nullptr : "ptrace is not allowed here (seccomp, or kernel.yama.ptrace_scope)";
#else
  return "single steps are supported on x86-64 only";
#endif
}

int step_through(store_log& log, segment& seg, int fd, const char* bytes, const workload& what,
                 const step_kill* kill, std::chrono::milliseconds limit, std::string& fault,
                 run_code* seen) {
  await_next_tick();
  shared_text failure;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  const pid_t pid = start_process(
      [&] {
        die_after(limit);
        map_view_of(seg, fd);
        const auto registered = what.set_up();
        log_differences(log, seg, data_of(fd, seg.size_bytes()));
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0)
          throw std::system_error(errno, std::generic_category(), "PTRACE_TRACEME");
        note_transactions(log, base_of(seg), seg.size_bytes());
        stop_here();
        what.tested();
        stop_here();
      },
      failure.text());
  int status = 0;
  if (::waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
    try {
      traced process(pid, log, seg, fd, bytes, seen);
      fault = follow(process, pid, kill, limit, deadline);
    } catch (...) {
      kill_and_wait(pid);  // it would stay stopped until its time is over
      throw;
    }
  } else {
    const process_end ended{!(WIFSIGNALED(status) && std::chrono::steady_clock::now() >= deadline),
                            status};
    fault = "in the set-up: it " + to_string(ended);
  }
  if (failure.text()[0] != 0) fault = failure.text();
  if (fault.empty() && log.overflow() != nullptr)
    fault = std::string("no room in ") + log.overflow();
  return pid;
}

}  // namespace outlive::killtest::detail
