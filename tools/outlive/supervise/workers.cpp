#include "supervise/workers.hpp"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "process.hpp"

namespace supervise {

namespace {

// A worker that has run for this long is restarted at once.
constexpr std::chrono::seconds well_after(10);
constexpr std::chrono::milliseconds first_pause(100);
constexpr std::chrono::milliseconds longest_pause(10'000);
constexpr std::chrono::seconds grace(5);  // to end in order
constexpr std::chrono::milliseconds slice(10);

// A program that is just being replaced, and a machine without room for one more process.
bool may_pass(const std::system_error& error) noexcept {
  const int number = error.code().value();
  return number == ETXTBSY || number == EAGAIN || number == ENOMEM || number == EMFILE ||
         number == ENFILE;
}

}  // namespace

std::string worker_pool::pause(worker& which) {
  which.due = clock::now() + which.pause;
  return fmt::format("{} ms", which.pause.count());
}

void worker_pool::reap_ended(worker& which) {
  const pid_t former = which.pid;
  const std::string how = status_text(reap(former));
  which.pid = 0;
  which.ended = false;
  which.pause = clock::now() - which.started >= well_after
                    ? std::chrono::milliseconds(0)
                    : std::clamp(which.pause * 2, first_pause, longest_pause);
  log_.write(fmt::format("worker {}: {}, restarts in {}", former, how, pause(which)));
}

void worker_pool::reap_orphans(const before_reaping& call) const {
  for (pid_t pid = some_ended_child(); pid != 0; pid = some_ended_child()) {
    const auto is_it = [pid](const worker& each) { return each.pid == pid; };
    // It has ended since maintain() looked, which will be called again.
    if (std::any_of(workers_.begin(), workers_.end(), is_it)) return;
    if (call) call();
    ::waitpid(pid, nullptr, 0);
  }
}

void worker_pool::try_to_start(worker& which) {
  which.started = clock::now();
  try {
    which.pid = ::start(command_, {});
    has_started_one_ = true;
    log_.write(fmt::format("worker {}: started", which.pid));
  } catch (const std::system_error& error) {
    if (!has_started_one_ && !may_pass(error)) throw;
    which.pause = std::clamp(which.pause * 2, first_pause, longest_pause);
    log_.write(fmt::format("worker: {}, tries again in {}", error.what(), pause(which)));
  }
}

void worker_pool::maintain(const before_reaping& call) {
  bool somebody = false;
  for (worker& each : workers_) {
    each.ended = each.pid != 0 && has_ended(each.pid);
    somebody = somebody || each.ended;
  }
  if (somebody && call) call();
  for (worker& each : workers_) {
    if (each.ended) reap_ended(each);
    if (each.pid == 0 && each.due <= clock::now()) try_to_start(each);
  }
  reap_orphans(call);
}

std::optional<worker_pool::clock::time_point> worker_pool::next_start() const {
  std::optional<clock::time_point> next;
  for (const worker& each : workers_) {
    if (each.pid == 0 && (!next || each.due < *next)) next = each.due;
  }
  return next;
}

void worker_pool::end(const before_reaping& call) {
  const auto give_up = clock::now() + grace;
  for (const worker& each : workers_) {
    if (each.pid != 0) ::kill(-each.pid, SIGTERM);
  }
  for (const worker& each : workers_) {
    while (each.pid != 0 && !has_ended(each.pid)) {
      if (clock::now() >= give_up) ::kill(-each.pid, SIGKILL);
      std::this_thread::sleep_for(slice);
    }
  }
  if (call) call();
  for (worker& each : workers_) {
    if (each.pid != 0) static_cast<void>(reap(each.pid));
    each.pid = 0;
  }
}

}  // namespace supervise
