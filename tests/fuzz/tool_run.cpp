#include "fuzz/tool_run.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace outlive::fuzz {

namespace {

using clock = std::chrono::steady_clock;

constexpr rlim_t most_output = 4 << 20;  // of a segment of some kilobytes

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

struct file {
  explicit file(int descriptor, const char* what) : number(descriptor) {
    if (number < 0) fail(what);
  }
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  ~file() { ::close(number); }
  [[nodiscard]] std::string text() const {
    const off_t size = ::lseek(number, 0, SEEK_END);
    std::string all(size > 0 ? static_cast<std::size_t>(size) : 0, '\0');
    if (::pread(number, all.data(), all.size(), 0) != size) fail("reading the tool's output");
    return all;
  }
  int number;
};

[[noreturn]] void become(const std::vector<std::string>& argv, int in, int out, int err,
                         bool terminal) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (terminal) {
    ::setsid();
    ::ioctl(in, TIOCSCTTY, 0);
    ::setenv("TERM", "xterm", 1);
  }
  // the end of one that writes without an end is SIGXFSZ
  const rlimit size{most_output, most_output};
  ::setrlimit(RLIMIT_FSIZE, &size);
  // In a build with sanitizers their findings end as signals, too: 1 is an exit code of the tool.
  ::setenv("ASAN_OPTIONS", "abort_on_error=1:detect_leaks=0", 0);
  ::setenv("UBSAN_OPTIONS", "halt_on_error=1:abort_on_error=1:print_stacktrace=1", 0);
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  std::vector<char*> words;
  for (const std::string& each : argv) words.push_back(const_cast<char*>(each.c_str()));
  words.push_back(nullptr);
  ::execv(words[0], words.data());
  ::_exit(127);
}

// Whoever waits for its end, and kills it if it does not come.
class process {
 public:
  explicit process(pid_t id)
      : id_(id),
        handle_(id < 0 ? -1 : static_cast<int>(::syscall(SYS_pidfd_open, id, 0)),
                "starting the tool") {}
  [[nodiscard]] int handle() const { return handle_.number; }

  void end(bool in_time, std::chrono::milliseconds limit, tool_run& into) const {
    if (!in_time) ::kill(id_, SIGKILL);
    int status = 0;
    while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
    }
    if (!in_time) {
      into.failure = "has not ended after " + std::to_string(limit.count()) + " ms";
    } else if (WIFSIGNALED(status)) {
      into.failure = std::string("killed by SIG") + ::sigabbrev_np(WTERMSIG(status));
    } else {
      into.exit_code = WEXITSTATUS(status);
    }
  }

 private:
  pid_t id_;
  file handle_;
};

int left_until(clock::time_point until) {
  return static_cast<int>(std::max<std::chrono::milliseconds::rep>(
      0, std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count()));
}

// Returns: whether anything is ready, in time. Whoever shows this thread's stack interrupts the
//   wait.
bool wait_for(pollfd* those, nfds_t count, clock::time_point until) {
  for (;;) {
    const int ready = ::poll(those, count, left_until(until));
    if (ready >= 0) return ready > 0;
    if (errno != EINTR) fail("poll");
  }
}

// Answers each picture with the next key. Returns: whether the process has ended in time.
bool converse(const process& with, int terminal, clock::time_point until, const std::string& keys) {
  static constexpr std::string_view end_of_picture = "\x1b[J";
  std::string seen;
  std::size_t answered = 0;
  for (bool open = true;;) {
    pollfd both[] = {{with.handle(), POLLIN, 0}, {open ? terminal : -1, POLLIN, 0}};
    if (!wait_for(both, 2, until)) return false;
    if (both[0].revents != 0) return true;
    char some[4096];
    const ssize_t size = ::read(terminal, some, sizeof some);
    if (size <= 0) {
      open = false;
      continue;
    }
    seen.append(some, static_cast<std::size_t>(size));
    const std::size_t at = seen.find(end_of_picture);
    if (at == std::string::npos) continue;
    seen.erase(0, at + end_of_picture.size());
    if (answered < keys.size() && ::write(terminal, &keys[answered++], 1) != 1)
      fail("a key for the tool");
  }
}

}  // namespace

tool_run run_tool(const std::vector<std::string>& argv, std::chrono::milliseconds limit) {
  const file none(::open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null");
  const file out(::memfd_create("out", MFD_CLOEXEC), "memfd"),
      err(::memfd_create("err", MFD_CLOEXEC), "memfd");
  const pid_t id = ::fork();
  if (id == 0) become(argv, none.number, out.number, err.number, false);
  const process started(id);
  pollfd ended{started.handle(), POLLIN, 0};
  tool_run found;
  started.end(wait_for(&ended, 1, clock::now() + limit), limit, found);
  found.out = out.text();
  found.err = err.text();
  return found;
}

tool_run run_tool_in_terminal(const std::vector<std::string>& argv, std::chrono::milliseconds limit,
                              const std::string& keys) {
  const file master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "a terminal");
  if (::grantpt(master.number) != 0 || ::unlockpt(master.number) != 0) fail("a terminal");
  char path[64];
  if (::ptsname_r(master.number, path, sizeof path) != 0) fail("a terminal");
  const file terminal(::open(path, O_RDWR | O_NOCTTY | O_CLOEXEC), "a terminal");
  const winsize size{50, 160, 0, 0};
  ::ioctl(terminal.number, TIOCSWINSZ, &size);
  const file err(::memfd_create("err", MFD_CLOEXEC), "memfd");
  const pid_t id = ::fork();
  if (id == 0) become(argv, terminal.number, terminal.number, err.number, true);
  const process started(id);
  tool_run found;
  started.end(converse(started, master.number, clock::now() + limit, keys), limit, found);
  found.err = err.text();
  return found;
}

}  // namespace outlive::fuzz
