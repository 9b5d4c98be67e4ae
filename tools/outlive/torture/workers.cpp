#include "torture/workers.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

namespace torture {

namespace {

constexpr auto stop_limit = std::chrono::seconds(5), death_limit = std::chrono::seconds(10);
constexpr auto spinning = std::chrono::microseconds(200);

// The process group of a thread, from /proc; 0 if the thread is gone. Any thread of a process is
// found, not only its first.
pid_t group_of(std::uint32_t tid) {
  const int file = open(fmt::format("/proc/{}/stat", tid).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[512] = {};
  // Fails if the thread ends between the two calls.
  [[maybe_unused]] const ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  const char* const name_end = std::strrchr(text, ')');  // the name may hold anything
  int group = 0;
  return name_end != nullptr && std::sscanf(name_end + 1, " %*c %*d %d", &group) == 1 ? group : 0;
}

bool fetch_stop(pid_t pid) noexcept {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED | WNOHANG) == 0 &&
         info.si_pid == pid;
}

}  // namespace

worker_set::~worker_set() {
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    if (workers_[index].pid == 0) continue;
    kill(index);
    static_cast<void>(reap(workers_[index].pid));
  }
}

void worker_set::start(std::size_t index) {
  workers_[index] = {::start(wanted_.command, {fmt::format("OUTLIVE_TORTURE_WORKER={}", index)}),
                     false, false, clock::now()};
}

std::vector<worker_end> worker_set::reap_ended() {
  std::vector<worker_end> ended;
  if (!incoming_.fetch_child_changed()) return ended;
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    worker& each = workers_[index];
    if (each.pid == 0 || !has_ended(each.pid)) continue;
    ended.push_back({index, each.pid, reap(each.pid), each.killed, clock::now() - each.started});
    each.pid = 0;
  }
  return ended;
}

bool worker_set::stop(std::size_t index) {
  const pid_t pid = workers_[index].pid;
  ::kill(-pid, SIGSTOP);
  const auto began = clock::now();
  while (clock::now() < began + stop_limit) {
    if (fetch_stop(pid)) return true;
    if (has_ended(pid)) return false;
    if (clock::now() < began + spinning) {
      sched_yield();  // the usual case takes less than a sleep would
    } else {
      incoming_.wait(std::chrono::milliseconds(1));
    }
  }
  resume(index);
  return false;
}

void worker_set::resume(std::size_t index) const noexcept {
  ::kill(-workers_[index].pid, SIGCONT);
}

void worker_set::kill(std::size_t index) noexcept {
  workers_[index].killed = true;
  ::kill(-workers_[index].pid, SIGKILL);
}

void worker_set::kill_all() {
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    if (workers_[index].pid != 0 && !workers_[index].killed) static_cast<void>(stop(index));
  }
  for (std::size_t index = 0; index < workers_.size(); ++index) {
    if (workers_[index].pid != 0) kill(index);
  }
}

std::vector<worker_end> worker_set::end_all(std::chrono::nanoseconds grace,
                                            const std::function<bool(std::size_t)>& may_end) {
  std::vector<worker_end> ended;
  const auto for_each_until = [&](clock::time_point limit, auto act) {
    const int asked = incoming_.times_asked_to_end();
    while (any_running() && clock::now() < limit && incoming_.times_asked_to_end() == asked) {
      for (std::size_t index = 0; index < workers_.size(); ++index) {
        if (workers_[index].pid != 0) act(index);
      }
      incoming_.pause(std::chrono::milliseconds(5));  // a spared one goes on with its repair
      for (const worker_end& end : reap_ended()) ended.push_back(end);
    }
  };
  for_each_until(clock::now() + grace, [&](std::size_t index) {
    worker& each = workers_[index];
    if (each.asked_to_end || each.killed || !stop(index)) return;
    if (may_end(index)) {
      ::kill(-each.pid, SIGTERM);  // while it is stopped: without a handler it ends there
      each.asked_to_end = true;
    }
    resume(index);
  });
  for_each_until(clock::now() + death_limit, [&](std::size_t index) { kill(index); });
  return ended;
}

std::optional<std::size_t> worker_set::owner_of(std::uint32_t tid) const {
  const auto find = [&](pid_t pid) -> std::optional<std::size_t> {
    for (std::size_t index = 0; index < workers_.size(); ++index) {
      if (pid != 0 && workers_[index].pid == pid) return index;
    }
    return std::nullopt;
  };
  const auto first = find(static_cast<pid_t>(tid));  // the usual case, and cheap
  return first ? first : find(group_of(tid));
}

bool worker_set::any_running() const noexcept {
  return std::any_of(workers_.begin(), workers_.end(),
                     [](const worker& each) { return each.pid != 0; });
}

}  // namespace torture
