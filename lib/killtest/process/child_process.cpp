#include "killtest/process/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <system_error>

#include <outlive/kill_point.hpp>

namespace outlive::killtest::detail {

namespace {

constexpr int threw_code = 113;

// A program that is linked to the kit is there to be killed. This stands in a file that every
// engine needs, so that the linker also takes it from a static library.
const bool kill_points_armed = outlive::detail::arm_kill_points_at_load();

void write_failure(char* into, const char* text) noexcept {
  if (into == nullptr) return;
  std::strncpy(into, text, failure_bytes - 1);
  into[failure_bytes - 1] = 0;
}

[[noreturn]] void run(const std::function<void()>& body, char* failure, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // the parent died before prctl()
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);  // a dump delays EOWNERDEAD until it is written
  try {
    body();
  } catch (const std::exception& error) {
    write_failure(failure, error.what());
    ::_exit(threw_code);
  } catch (...) {
    write_failure(failure, "something that is no std::exception");
    ::_exit(threw_code);
  }
  ::_exit(0);
}

}  // namespace

bool process_end::exited(int code) const noexcept {
  return in_time && WIFEXITED(status) && WEXITSTATUS(status) == code;
}

bool process_end::threw() const noexcept {
  return exited(threw_code);
}

bool process_end::signalled() const noexcept {
  return in_time && WIFSIGNALED(status);
}

int process_end::signal() const noexcept {
  return WTERMSIG(status);
}

std::string to_string(const process_end& end, const char* failure) {
  if (!end.in_time) return "was not done in time";
  if (end.threw() && failure != nullptr) return std::string("threw: ") + failure;
  if (end.signalled())
    return "ended by signal " + std::to_string(end.signal()) + " (" + ::strsignal(end.signal()) +
           ")";
  return "exited with " + std::to_string(WEXITSTATUS(end.status));
}

pid_t start_process(const std::function<void()>& body, char* failure) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid == 0) run(body, failure, parent);
  return pid;
}

bool has_ended(pid_t pid, process_end& end) {
  const pid_t got = ::waitpid(pid, &end.status, WNOHANG);
  if (got < 0) throw std::system_error(errno, std::generic_category(), "waitpid");
  return got == pid;
}

bool wait_readable(int fd, std::chrono::milliseconds limit) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  pollfd end{fd, POLLIN, 0};
  int ready = 0;
  do {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    ready = ::poll(&end, 1,
                   static_cast<int>(std::max<std::chrono::milliseconds::rep>(left.count(), 0)));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

namespace {

// So far; 0 if it is gone.
std::chrono::nanoseconds processor_time_of(pid_t pid) noexcept {
  clockid_t clock{};
  timespec used{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return {};
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

struct proc_text {
  char text[512];
};

// What a file of /proc/PID says; nothing if it is gone.
proc_text read_proc(pid_t pid, const char* name) noexcept {
  proc_text file;
  file.text[0] = 0;
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return file;
  const ssize_t size = ::read(fd, file.text, sizeof file.text - 1);
  ::close(fd);
  file.text[std::max<ssize_t>(size, 0)] = 0;
  return file;
}

// As /proc says: R, S, D, T ...; 'R' if it does not.
char run_state_of(pid_t pid) noexcept {
  const proc_text stat = read_proc(pid, "stat");
  const char* const name_end = std::strrchr(stat.text, ')');
  return name_end != nullptr && name_end[1] == ' ' ? name_end[2] : 'R';
}

// How long it was ready to run so far, while others had the processors (proc(5), schedstat); 0 if
// the kernel does not count that.
std::chrono::nanoseconds time_in_run_queue_of(pid_t pid) noexcept {
  const proc_text schedstat = read_proc(pid, "schedstat");
  unsigned long long ran = 0, queued = 0;
  if (std::sscanf(schedstat.text, "%llu %llu", &ran, &queued) != 2) return {};
  return std::chrono::nanoseconds(queued);
}

}  // namespace

hang_watch::hang_watch(pid_t pid, std::chrono::milliseconds limit) noexcept
    : pid_(pid),
      limit_(limit),
      used_before_(processor_time_of(pid)),
      queued_before_(time_in_run_queue_of(pid)) {}

bool hang_watch::is_hung() noexcept {
  constexpr int patience = 10;
  constexpr int looks = 5;
  const auto waited = std::chrono::steady_clock::now() - begun_;
  if (waited < limit_) return false;
  const std::chrono::nanoseconds used = processor_time_of(pid_);
  const bool is_asleep = used == used_ && run_state_of(pid_) != 'R';
  asleep_ = is_asleep ? asleep_ + 1 : 0;
  used_ = used;
  // One that sleeps again and again. What it waited for a processor is no fault of its own.
  const std::chrono::nanoseconds queued = time_in_run_queue_of(pid_) - queued_before_;
  return waited - queued >= limit_ * patience || used - used_before_ >= limit_ || asleep_ >= looks;
}

process_end wait_for(pid_t pid, std::chrono::milliseconds limit) {
  process_end end;
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "pidfd_open");
  hang_watch watch(pid, limit);
  end.in_time = wait_readable(fd, limit);
  while (!end.in_time && !watch.is_hung()) end.in_time = wait_readable(fd, watch.look_again);
  ::close(fd);
  if (!end.in_time) ::kill(pid, SIGKILL);
  while (::waitpid(pid, &end.status, 0) < 0) {
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "waitpid");
  }
  return end;
}

void end_process(pid_t pid) noexcept {
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void die_after(std::chrono::milliseconds limit) {
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  timer_t timer{};
  // A time of 0 would disarm the timer.
  const auto count = std::max<std::chrono::milliseconds::rep>(limit.count(), 1);
  const itimerspec once{
      {}, {static_cast<time_t>(count / 1000), static_cast<long>(count % 1000) * 1'000'000}};
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
      ::timer_settime(timer, 0, &once, nullptr) != 0) {
    throw std::system_error(errno, std::generic_category(), "a timer for the process's life");
  }
}

on_one_cpu::on_one_cpu() noexcept {
  const int here = ::sched_getcpu();
  if (here < 0 || ::sched_getaffinity(0, sizeof before_, &before_) != 0) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(here), &one);
  pinned_ = ::sched_setaffinity(0, sizeof one, &one) == 0;
}

on_one_cpu::~on_one_cpu() {
  if (pinned_) ::sched_setaffinity(0, sizeof before_, &before_);
}

int above_standard(int fd) noexcept {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  const int above = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  ::close(fd);
  errno = error;
  return above;
}

void* map_shared(std::size_t size) {
  void* const memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "shared memory");
  return memory;
}

void unmap_shared(void* memory, std::size_t size) noexcept {
  ::munmap(memory, size);
}

}  // namespace outlive::killtest::detail
