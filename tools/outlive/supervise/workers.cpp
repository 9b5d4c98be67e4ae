#include "supervise/workers.hpp"

#include <signal.h>

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "output.hpp"
#include "process.hpp"

namespace supervise {

namespace {

// A worker that has run for this long is restarted at once.
constexpr std::chrono::seconds well_after(10);
constexpr std::chrono::milliseconds first_pause(100);
constexpr std::chrono::milliseconds longest_pause(10'000);
constexpr std::chrono::milliseconds slice(10);

}  // namespace

void worker_pool::reap_ended(worker& which) {
  const pid_t former = which.pid;
  const std::string how = status_text(reap(former));
  const auto now = clock::now();
  which.pid = 0;
  which.ended = false;
  which.pause = now - which.started >= well_after
                    ? std::chrono::milliseconds(0)
                    : std::clamp(which.pause * 2, first_pause, longest_pause);
  which.due = now + which.pause;
  write_result(fmt::format("worker {}: {}, restarts in {} ms\n", former, how, which.pause.count()));
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
    if (each.pid != 0 || each.due > clock::now()) continue;
    each.started = clock::now();
    each.pid = start(command_, {});
    write_result(fmt::format("worker {}: started\n", each.pid));
  }
}

std::optional<worker_pool::clock::time_point> worker_pool::next_start() const {
  std::optional<clock::time_point> next;
  for (const worker& each : workers_) {
    if (each.pid == 0 && (!next || each.due < *next)) next = each.due;
  }
  return next;
}

void worker_pool::end(std::chrono::milliseconds grace, const before_reaping& call) {
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
