#include "process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  all.reserve(texts.size() + 1);
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

// Between vfork and exec: the memory is the parent's.
[[noreturn]] void become(char* const* arguments, char* const* environment, pid_t parent,
                         volatile int& error) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // the parent died before the line above
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int empty = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(empty, STDIN_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  execvpe(arguments[0], arguments, environment);
  error = errno;
  _exit(127);
}

}  // namespace

signal_queue::signal_queue(std::initializer_list<int> which) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : which) sigaddset(&set, signal);
  fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

signal_queue::~signal_queue() {
  close(fd_);
}

int signal_queue::next() const noexcept {
  signalfd_siginfo info{};
  return read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)
             ? static_cast<int>(info.ssi_signo)
             : 0;
}

signals::signals() : queue_{SIGINT, SIGTERM, SIGHUP, SIGCHLD} {}

void signals::wait(std::chrono::nanoseconds timeout) {
  if (timeout.count() > 0) {
    const timespec limit{static_cast<time_t>(timeout.count() / 1'000'000'000),
                         static_cast<long>(timeout.count() % 1'000'000'000)};
    pollfd ready{queue_.fd(), POLLIN, 0};
    ppoll(&ready, 1, &limit, nullptr);
  }
  while (const int got = queue_.next()) {
    if (got == SIGCHLD) {
      child_changed_ = true;
    } else {
      ending_ = got;
      ++asked_;
    }
  }
}

void signals::pause(std::chrono::nanoseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  const int asked = asked_;
  for (auto now = end - time; now < end && asked_ == asked; now = std::chrono::steady_clock::now())
    wait(end - now);
}

bool signals::fetch_child_changed() noexcept {
  const bool changed = child_changed_;
  child_changed_ = false;
  return changed;
}

pid_t start(const std::vector<std::string>& command, const std::vector<std::string>& variables) {
  std::vector<std::string> arguments = command;
  std::vector<std::string> environment;
  for (char** each = environ; *each != nullptr; ++each) {
    const bool replaced =
        std::any_of(variables.begin(), variables.end(), [&](const std::string& variable) {
          return std::strncmp(*each, variable.c_str(), variable.find('=') + 1) == 0;
        });
    if (!replaced) environment.emplace_back(*each);
  }
  environment.insert(environment.end(), variables.begin(), variables.end());
  const std::vector<char*> argument_pointers = pointers(arguments),
                           environment_pointers = pointers(environment);

  // Not fork: this returns when the program runs. A forked child that is stopped before it has
  // asked to die with its parent would stay forever if the parent were killed then.
  const pid_t parent = getpid();
  volatile int error = 0;
  const pid_t child = vfork();
  if (child == 0) become(argument_pointers.data(), environment_pointers.data(), parent, error);
  if (child < 0) error = errno;
  if (error == 0) return child;
  if (child > 0) waitpid(child, nullptr, 0);
  throw std::system_error(error, std::generic_category(),
                          fmt::format("cannot start '{}'", command.front()));
}

bool has_ended(pid_t pid) noexcept {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid;
}

pid_t some_ended_child() noexcept {
  siginfo_t info{};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? info.si_pid : 0;
}

int reap(pid_t pid) noexcept {
  kill(-pid, SIGKILL);  // the group cannot be another's: the zombie keeps its id
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string status_text(int status) {
  if (WIFEXITED(status)) return fmt::format("exit code {}", WEXITSTATUS(status));
  const char* const name = sigabbrev_np(WTERMSIG(status));
  return name != nullptr ? fmt::format("killed by SIG{}", name)
                         : fmt::format("killed by signal {}", WTERMSIG(status));
}
