#include "crash/tracer.hpp"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace outlive::crash {

namespace {

using clock = std::chrono::steady_clock;
constexpr std::chrono::seconds patience(1);
constexpr long rest_ns = 200'000;

std::string field_of_status(pid_t tid, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(tid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":"))
      return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  }
  return {};
}

std::string ptrace_scope() {
  std::ifstream file("/proc/sys/kernel/yama/ptrace_scope");
  std::string value;
  file >> value;
  return value;
}

std::string why_refused(pid_t tid, int error) {
  const std::string thread = "thread " + std::to_string(tid);
  if (error == ESRCH) return thread + " is gone";
  if (error != EPERM) return thread + " cannot be traced: " + std::strerror(error);
  std::error_code ignored;
  if (std::filesystem::exists("/proc/self/task/" + std::to_string(tid), ignored))
    return thread + " belongs to this process, which cannot trace itself";
  if (const std::string tracer = field_of_status(tid, "TracerPid");
      !tracer.empty() && tracer != "0") {
    return thread + " is already traced by process " + tracer;
  }
  if (field_of_status(tid, "State").starts_with("Z"))
    return thread + " is dead, but its process is not reaped yet";
  std::string text = "no permission to trace thread " + std::to_string(tid);
  if (const std::string scope = ptrace_scope(); !scope.empty() && scope != "0")
    text += " (kernel.yama.ptrace_scope is " + scope + ")";
  return text;
}

}  // namespace

stopped_thread::stopped_thread(pid_t tid) : tid_(tid) {
  if (::ptrace(PTRACE_SEIZE, tid_, nullptr, nullptr) != 0) {
    problem_ = why_refused(tid_, errno);
    return;
  }
  seized_ = true;
  if (::ptrace(PTRACE_INTERRUPT, tid_, nullptr, nullptr) != 0) {
    problem_ = why_refused(tid_, errno);
  } else if (!wait_for_stop()) {
    const std::string state = field_of_status(tid_, "State");
    problem_ = "thread " + std::to_string(tid_) +
               (state.empty() ? std::string(" is gone")
                              : " did not stop within a second: it is in state " + state);
  }
}

// Asks ptrace instead of waitpid(): another thread that waits for any child may have consumed the
// event.
bool stopped_thread::wait_for_stop() {
  const auto give_up = clock::now() + patience;
  for (;;) {
    siginfo_t info{};
    // EINVAL: stopped as by SIGSTOP
    if (::ptrace(PTRACE_GETSIGINFO, tid_, nullptr, &info) == 0 || errno == EINVAL) return true;
    if (clock::now() >= give_up) return false;
    if (field_of_status(tid_, "State").empty()) return false;
    const timespec rest{0, rest_ns};
    ::nanosleep(&rest, nullptr);
  }
}

stopped_thread::~stopped_thread() {
  if (!seized_) return;
  siginfo_t info{};
  long signal = 0;
  // A signal came before our interruption: pass it on to the thread.
  const bool asked = ::ptrace(PTRACE_GETSIGINFO, tid_, nullptr, &info) == 0;
  if (asked && info.si_code >> 8 != PTRACE_EVENT_STOP) signal = info.si_signo;
  // fails if the thread has not stopped; then the end of this thread detaches it
  ::ptrace(PTRACE_DETACH, tid_, nullptr, reinterpret_cast<void*>(signal));
}

}  // namespace outlive::crash
