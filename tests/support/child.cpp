#include "support/child.hpp"

#include <cxxabi.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace outlive::testing {
namespace {

/// Sends what GoogleTest would have printed in the child to the parent.
class forwarder : public ::testing::EmptyTestEventListener {
 public:
  explicit forwarder(agent& parent) : parent_(parent) {}

  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::ostringstream text;
    text << (result.file_name() ? result.file_name() : "unknown file") << ':'
         << result.line_number() << ": " << result.message();
    parent_.fail(text.str());
  }

 private:
  agent& parent_;
};

void run_body(const child::body& run, agent& parent) {
  try {
    run(parent);
  } catch (const abi::__forced_unwind&) {
    // pthread_exit. On the main thread the unwinding must not go on: the frames above are copies of
    // the parent's, and their destructors would tear down what belongs to the parent.
    if (gettid() == getpid()) syscall(SYS_exit, 0);
    throw;
  } catch (const std::exception& error) {
    parent.fail(std::string("uncaught exception: ") + error.what());
  } catch (...) {
    parent.fail("uncaught exception that is no std::exception");
  }
}

/// What tests/support/run_cases.py adds up. A copy in a forked child counts that child's own.
class kill_tally {
 public:
  ~kill_tally() {
    if (process_ == getpid() && count_ != 0)
      std::printf("kills: %llu\n", static_cast<unsigned long long>(count_));
  }
  void add() {
    if (process_.exchange(getpid()) != getpid()) count_ = 0;
    ++count_;
  }
  std::uint64_t count() const { return process_ == getpid() ? count_.load() : 0; }

 private:
  std::atomic<pid_t> process_{0};
  std::atomic<std::uint64_t> count_{0};
};

kill_tally kills;

bool readable(int fd) {
  pollfd one{fd, POLLIN, 0};
  return poll(&one, 1, 0) == 1;
}

}  // namespace

std::uint64_t kills_so_far() {
  return kills.count();
}

bool exit_status::exited_with(int code) const {
  return WIFEXITED(raw) && WEXITSTATUS(raw) == code;
}

bool exit_status::killed_by(int signal) const {
  return WIFSIGNALED(raw) && WTERMSIG(raw) == signal;
}

std::string exit_status::describe() const {
  std::ostringstream out;
  if (WIFEXITED(raw)) {
    out << "exit " << WEXITSTATUS(raw);
  } else if (WIFSIGNALED(raw)) {
    out << "killed by signal " << WTERMSIG(raw) << " (" << strsignal(WTERMSIG(raw)) << ')';
  } else {
    out << "wait status " << raw;
  }
  return out.str();
}

void agent::tell(std::string_view token) {
  if (!to_parent_.send(message::kind::token, token))
    throw std::runtime_error(name_ + ": the parent's pipe is closed");
}

void agent::await(std::string_view token, milliseconds limit) {
  const deadline end(limit);
  for (;;) {
    while (auto got = from_parent_.receive()) arrived_.add(std::move(got->text));
    if (arrived_.take(token)) return;
    if (end.passed()) {
      throw timed_out("child '" + name_ + "' waited " + std::to_string(limit.count()) +
                      " ms for the parent's '" + std::string(token) + "'; " + arrived_.describe());
    }
    pollfd one{from_parent_.read_fd(), POLLIN, 0};
    poll(&one, 1, static_cast<int>(end.left().count()));
  }
}

void agent::fail(std::string_view text) {
  failed_.store(true);
  to_parent_.send(message::kind::failure, text);
}

void agent::pause_forever() {
  for (;;) pause();
}

child::child(std::string name, body run) : child(std::move(name), std::move(run), options{}) {}

child::child(std::string name, body run, options how)
    : name_(std::move(name)), forked_by_(getpid()) {
  // A child that leaves through exit() would print the contents of stdio's buffers again.
  std::fflush(nullptr);
  pid_ = how.fork ? how.fork() : ::fork();
  if (pid_ == 0) run_in_child(run, how, forked_by_);
  if (pid_ < 0)
    throw std::system_error(errno, std::generic_category(), "cannot fork child '" + name_ + "'");
  // The read end of to_child_ stays open here as well, so that tell() to a dead child is no
  // SIGPIPE.
  to_parent_.close_write();
  pidfd_ = unique_fd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  if (pidfd_.get() < 0)
    throw std::system_error(errno, std::generic_category(), "pidfd_open of child '" + name_ + "'");
}

void child::run_in_child(const body& run, const options& how, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before prctl. 0 is a parent outside of the child's PID namespace.
  if (getppid() != parent && getppid() != 0) _exit(failed_exit_code);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  to_parent_.close_read();
  to_child_.close_write();

  agent self(to_parent_, to_child_, name_);
  auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
  // Silenced, and kept reachable: then it is no leak if the child leaves through exit().
  [[maybe_unused]] static ::testing::TestEventListener* const silenced =
      listeners.Release(listeners.default_result_printer());
  listeners.Append(new forwarder(self));
  if (how.second_thread) {
    std::thread second([&] { run_body(run, self); });
    second.join();
  } else {
    run_body(run, self);
  }
  std::fflush(nullptr);
  _exit(self.failed() ? failed_exit_code : 0);
}

child::~child() {
  // A copy of this object in a forked child owns nothing.
  if (getpid() != forked_by_ || pid_ <= 0) return;
  if (!reaped_) {
    ::kill(pid_, SIGKILL);
    int raw = 0;
    while (waitpid(pid_, &raw, 0) < 0 && errno == EINTR) {
    }
    note_reaped(raw);
  }
}

void child::drain() {
  while (auto got = to_parent_.receive()) {
    if (got->what == message::kind::token) {
      tokens_.add(std::move(got->text));
    } else {
      ADD_FAILURE() << "in child '" << name_ << "' (pid " << pid_ << "): " << got->text;
    }
  }
}

bool child::ended() const {
  return reaped_ || readable(pidfd_.get());
}

void child::throw_unless_alive(const std::string& purpose) {
  if (reaped_ || readable(pidfd_.get())) {
    const exit_status how = wait();
    throw std::runtime_error("child '" + name_ + "' ended (" + how.describe() +
                             ") while the parent waited " + purpose + "; " + tokens_.describe());
  }
}

void child::wait_for(std::string_view token, milliseconds limit) {
  const std::string purpose = "for its '" + std::string(token) + "'";
  const deadline end(limit);
  for (;;) {
    const bool was_over = ended();  // asked before the pipe is emptied: a last token is not missed
    drain();
    if (tokens_.take(token)) return;
    if (was_over) throw_unless_alive(purpose);
    if (to_parent_.at_end()) {
      if (!within(milliseconds(100), [&] { return ended(); })) {
        throw std::runtime_error("child '" + name_ +
                                 "' closed its pipe (exec?) while the parent waited " + purpose);
      }
      continue;
    }
    if (end.passed()) {
      throw timed_out("the parent waited " + std::to_string(limit.count()) + " ms for child '" +
                      name_ + "' to tell '" + std::string(token) + "'; " + tokens_.describe());
    }
    pollfd both[] = {{to_parent_.read_fd(), POLLIN, 0}, {pidfd_.get(), POLLIN, 0}};
    poll(both, 2, static_cast<int>(end.left().count()));
  }
}

void child::tell(std::string_view token) {
  if (!to_child_.send(message::kind::token, token))
    throw std::runtime_error("cannot write to child '" + name_ + "'");
}

void child::wait_for_exec(milliseconds limit) {
  const deadline end(limit);
  for (;;) {
    drain();
    if (to_parent_.at_end() && !ended()) return;
    throw_unless_alive("for its exec");
    if (end.passed())
      throw timed_out("child '" + name_ + "' did not exec in " + std::to_string(limit.count()) +
                      " ms");
    pollfd both[] = {{to_parent_.read_fd(), POLLIN, 0}, {pidfd_.get(), POLLIN, 0}};
    poll(both, 2, static_cast<int>(end.left().count()));
  }
}

void child::kill(int signal) {
  // A reaped pid may have been reused by now.
  if (!reaped_) ::kill(pid_, signal);
}

exit_status child::wait(milliseconds limit) {
  const deadline end(limit);
  while (!reaped_) {
    drain();
    int raw = 0;
    if (readable(pidfd_.get()) && waitpid(pid_, &raw, 0) == pid_) {
      note_reaped(raw);
      break;
    }
    if (end.passed()) {
      throw timed_out("the parent waited " + std::to_string(limit.count()) +
                      " ms for the end of child '" + name_ + "' (pid " + std::to_string(pid_) +
                      ")");
    }
    // A full pipe must not keep the child from its end, hence the pipe beside the pidfd.
    pollfd both[] = {{pidfd_.get(), POLLIN, 0}, {to_parent_.read_fd(), POLLIN, 0}};
    poll(both, to_parent_.at_end() ? 1 : 2, static_cast<int>(end.left().count()));
  }
  return status_;
}

void child::note_reaped(int raw_status) {
  reaped_ = true;
  status_.raw = raw_status;
  if (status_.killed_by(SIGKILL)) kills.add();
  drain();
}

void child::expect_exit(int code, source_line at) {
  const exit_status how = wait();
  if (!how.exited_with(code)) {
    ADD_FAILURE_AT(at.file, at.line)
        << "child '" << name_ << "': expected exit " << code << ", found " << how.describe();
  }
}

void child::expect_killed(int signal, source_line at) {
  const exit_status how = wait();
  if (!how.killed_by(signal)) {
    ADD_FAILURE_AT(at.file, at.line) << "child '" << name_ << "': expected its death by signal "
                                     << signal << ", found " << how.describe();
  }
}

}  // namespace outlive::testing
