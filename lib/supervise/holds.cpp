// The part of a supervision that is about the living: who hangs, who waits for each other, and the
// end of one by force.
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "supervise/supervision.hpp"
#include "supervise/thread_reports.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

namespace {

[[noreturn]] void refuse(std::errc code, const mapping& map, pid_t pid, const std::string& why) {
  throw std::system_error(std::make_error_code(code),
                          map.describe() + ", participant pid " + std::to_string(pid) + ": " + why);
}

}  // namespace

void supervision::look_at_holds() {
  holds_.sample(std::chrono::steady_clock::now());
  if (on_hung) {
    for (const long_hold& found : holds_.new_long_holds(hung_threshold)) {
      auto told =
          std::make_shared<const hung_owner>(report_hung(*map_, holds_, found, options_.stacks));
      if (told->who.known) queue([this, told] { on_hung(*told); });
    }
  }
  if (!on_deadlock) return;
  for (const cycle& found : holds_.new_deadlocks()) {
    auto told = std::make_shared<const deadlock>(report_deadlock(*map_, found, options_.stacks));
    queue([this, told] { on_deadlock(*told); });
  }
}

std::optional<participant_death> supervision::kill_and_recover(const hung_owner& holder) {
  const pid_t pid = holder.who.pid;
  if (pid == current_pid())
    refuse(std::errc::invalid_argument, *map_, pid,
           "found the holder in this process, expected it in another");
  const auto still_holds = [&] {
    return holds_.still_holds(holder.record, holder.generation, map_->offset_of(holder.held.mutex));
  };
  if (!still_holds()) return std::nullopt;
  watched_process* process = processes_.find(pid);
  if (process == nullptr) {
    look();
    process = processes_.find(pid);
  }
  if (process == nullptr || !process->handle.is_ours())
    refuse(std::errc::no_such_process, *map_, pid,
           "found no descriptor of it to be had, expected one");
  // The descriptor is that of a participant with this pid, and the record's thread, which is one of
  // its, lives: so it is the right process. Asked again here, because looking takes its time.
  if (!still_holds()) return std::nullopt;
  if (const int error = process_handle::kill(process->handle.get())) {
    throw std::system_error(
        error, std::generic_category(),
        map_->describe() + ", participant pid " + std::to_string(pid) + ": pidfd_send_signal");
  }
  if (!process_handle::wait_for_end(process->handle.get(), options_.kill_patience)) {
    refuse(std::errc::timed_out, *map_, pid,
           "found it alive " + std::to_string(options_.kill_patience.count()) +
               " ms after SIGKILL, expected its end");
  }
  const auto told = bury(process->identity);
  kick_.notify();
  if (told == nullptr) return std::nullopt;
  return *told;
}

}  // namespace outlive::detail
