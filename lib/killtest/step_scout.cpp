#include "killtest/step_scout.hpp"

#include <linux/futex.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>

#include "killtest/heir.hpp"
#include "killtest/private_view.hpp"
#include "killtest/process.hpp"
#include "killtest/robust_list.hpp"

namespace outlive::killtest::detail {

namespace {

// Where the traced process has come to.
class traced {
 public:
  traced(int pid, store_log& log, const segment& seg, const char* bytes)
      : pid_(pid), log_(log), base_(base_of(seg)), bytes_(bytes), size_(seg.size_bytes()), shadow_(bytes, size_) {}

  // Asks where the thread's list is. Requires: it is stopped.
  void begin() {
    void* head = nullptr;
    std::size_t length = 0;
    if (::syscall(SYS_get_robust_list, pid_, &head, &length) != 0) throw std::system_error(errno, std::generic_category(), "get_robust_list");
    head_ = head;
    look_at_list();
    log_.begin_tested(held_);
    set_up_ = log_.count();
  }

  // One instruction. Returns: the signal that stopped it after that, 0 if it has ended.
  int step(int deliver) {
    const std::uintptr_t at = instruction();
    if (::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, deliver) != 0) throw std::system_error(errno, std::generic_category(), "PTRACE_SINGLESTEP");
    int status = 0;
    if (::waitpid(pid_, &status, 0) != pid_) throw std::system_error(errno, std::generic_category(), "waitpid");
    if (!WIFSTOPPED(status)) {
      status_ = status;
      return 0;
    }
    compare(at);
    return WSTOPSIG(status);
  }

  [[nodiscard]] bool is_at(const step_kill& kill) const {
    return log_.count() - set_up_ == kill.stores && offsets_ == kill.held;
  }
  void finish() { log_.finish(held_); }
  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  [[nodiscard]] std::uintptr_t instruction() const {
#if defined(__x86_64__)
    return static_cast<std::uintptr_t>(::ptrace(PTRACE_PEEKUSER, pid_, offsetof(user_regs_struct, rip), nullptr));
#else
    return 0;
#endif
  }

  void compare(std::uintptr_t at) {
    const std::uint32_t held_before = held_;
    const bool changed = std::memcmp(shadow_.data(), bytes_, size_) != 0;
    look_at_list();
    if (!changed) return;
    const auto mismatch = std::mismatch(shadow_.begin(), shadow_.end(), bytes_);
    const auto first = static_cast<std::size_t>(mismatch.first - shadow_.begin());
    std::size_t last = size_ - 1;
    while (shadow_[last] == bytes_[last]) --last;
    const std::size_t size = last - first + 1;
    log_.add(first, static_cast<std::uint32_t>(size), reinterpret_cast<const std::byte*>(shadow_.data() + first),
             reinterpret_cast<const std::byte*>(bytes_ + first), log_.stack(&at, 1), held_before, held_);
    std::memcpy(shadow_.data() + first, bytes_ + first, size);
  }

  template <class T>
  [[nodiscard]] std::optional<T> read(const void* at) const {
    T value;
    const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(at) - reinterpret_cast<std::uintptr_t>(base_);
    if (offset < size_ && size_ - offset >= sizeof value) {
      std::memcpy(&value, bytes_ + offset, sizeof value);
      return value;
    }
    const iovec here{&value, sizeof value};
    const iovec there{const_cast<void*>(at), sizeof value};
    if (::process_vm_readv(pid_, &here, 1, &there, 1, 0) != static_cast<ssize_t>(sizeof value)) return std::nullopt;
    return value;
  }

  // As robust_list::offsets() does it inside.
  void look_at_list() {
    const auto head = read<robust_list_head>(head_);
    if (!head) return;
    held_locks found;
    const auto take = [&](const ::robust_list* entry) {
      const auto address = (reinterpret_cast<std::uintptr_t>(entry) & ~std::uintptr_t{1}) + static_cast<std::uintptr_t>(head->futex_offset);
      const std::uint64_t offset = address - reinterpret_cast<std::uintptr_t>(base_);
      if (offset < size_ && std::find(found.begin(), found.end(), offset) == found.end()) found.push_back(offset);
    };
    const ::robust_list* each = head->list.next;
    for (std::size_t i = 0; i < max_robust_locks && each != static_cast<const ::robust_list*>(head_); ++i) {
      take(each);
      const auto next = read<::robust_list>(each);
      if (!next) break;
      each = reinterpret_cast<const ::robust_list*>(reinterpret_cast<std::uintptr_t>(next->next) & ~std::uintptr_t{1});
    }
    if (head->list_op_pending != nullptr) take(head->list_op_pending);
    if (found == offsets_) return;
    offsets_ = std::move(found);
    held_ = log_.held(offsets_.data(), offsets_.size());
  }

  int pid_;
  store_log& log_;
  const char* base_;
  const char* bytes_;
  std::size_t size_;
  std::string shadow_;
  const void* head_ = nullptr;
  held_locks offsets_;
  std::uint32_t held_ = 0;
  std::size_t set_up_ = 0;
  int status_ = 0;
};

void stop_here() {
  ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), SIGSTOP);
}

// Killed and waited for: in a wait of its own, because the process may be stopped.
void kill_and_wait(int pid) noexcept {
  ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, __WALL) == pid && !WIFEXITED(status) && !WIFSIGNALED(status)) {
  }
}

// Until its end, or until it is killed. Returns: what went wrong.
std::string follow(traced& process, int pid, const step_kill* kill, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  process.begin();
  int deliver = 0;
  for (std::uint64_t steps = 0;; ++steps) {
    if (kill != nullptr && process.is_at(*kill)) {
      kill_and_wait(pid);
      return {};
    }
    const int stopped_by = process.step(deliver);
    if (stopped_by == 0) return "it " + to_string(process_end{true, process.status()});
    if (stopped_by == SIGSTOP) break;
    deliver = stopped_by == SIGTRAP ? 0 : stopped_by;
    if (steps % 1024 == 0 && std::chrono::steady_clock::now() > deadline) {
      kill_and_wait(pid);
      return "was not done in time, step by step";
    }
  }
  process.finish();
  kill_and_wait(pid);
  return kill == nullptr ? std::string() : "it came to its end";
}

}  // namespace

const char* why_no_single_steps() {
#if defined(__x86_64__)
  const pid_t pid = start_process([] {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
    stop_here();
  });
  int status = 0;
  const bool may = ::waitpid(pid, &status, 0) == pid && WIFSTOPPED(status);
  if (may) kill_and_wait(pid);
  return may ? nullptr : "ptrace is not allowed here (seccomp, or kernel.yama.ptrace_scope)";
#else
  return "single steps are there for x86-64 only";
#endif
}

int step_through(store_log& log, segment& seg, int fd, const char* bytes, const act& what, const step_kill* kill, std::chrono::milliseconds limit,
                 std::string& fault) {
  shared_text failure;
  const pid_t pid = start_process([&] {
    take_view_of(seg, fd);
    const auto registered = what.set_up();
    log_differences(log, seg);
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) throw std::system_error(errno, std::generic_category(), "PTRACE_TRACEME");
    stop_here();
    what.tested();
    stop_here();
  }, failure.text());
  int status = 0;
  if (::waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
    traced process(pid, log, seg, bytes);
    fault = follow(process, pid, kill, limit);
  } else {
    fault = to_string(process_end{true, status});
  }
  if (failure.text()[0] != 0) fault = failure.text();
  if (fault.empty() && log.overflow() != nullptr) fault = std::string("no room in ") + log.overflow();
  return pid;
}

}  // namespace outlive::killtest::detail
