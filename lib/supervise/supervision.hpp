// supervision: the inside of a supervisor. supervision.cpp begins with a map.
//
// Each finding is first handled, then its callback is put into a queue. The queue runs when nothing
// is half done. So a callback may throw, or call dispatch(): the next dispatch() runs the rest.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <vector>

#include <outlive/supervisor.hpp>

#include "mapping/mapping.hpp"
#include "supervise/dead_threads.hpp"
#include "supervise/hold_watch.hpp"
#include "supervise/watch_list.hpp"
#include "sys/event_set.hpp"

namespace outlive::detail {

class supervision {
 public:
  supervision(const segment& seg, const supervisor_options& options);
  supervision(const supervision&) = delete;
  supervision& operator=(const supervision&) = delete;
  ~supervision() = default;

  std::function<void(const participant_death&)> on_death;
  std::function<void(const hung_owner&)> on_hung;
  std::chrono::nanoseconds hung_threshold{};
  std::function<void(const deadlock&)> on_deadlock;
  std::function<void(const lost_name&)> on_name_lost;
  std::function<void(const std::system_error&)> on_error;

  [[nodiscard]] int fd() const noexcept { return events_.fd(); }
  void add_child(pid_t pid);
  void dispatch();
  void run(const std::stop_token& stop);
  std::optional<participant_death> kill_and_recover(const hung_owner& holder);
  [[nodiscard]] std::size_t watched() const noexcept { return processes_.living(); }

 private:
  void watch_for_changes();
  void recover_ended();
  void sweep();
  void run_callbacks();
  void enqueue(std::function<void()> callback);
  void report_error(const std::system_error& error);
  // Runs `work` and reports its errors, except forked_in_repair in a child, which it throws.
  template <class Work>
  void try_or_report(const std::string& what, Work work);

  // Recovers what the ended process held, and queues its report. Returns: nullptr if it is not
  // known to have ended, if the recovery failed, or if there is nothing to report.
  std::shared_ptr<const participant_death> recover_process(std::uint64_t identity);
  void recover_threads(pid_t pid);
  // Recovers what the threads held. Returns: also what earlier calls recovered. Throws if something
  // was postponed; the next sweep retries.
  recovery finish_recovery(pid_t pid, const std::vector<dead_thread_record>& dead);
  std::shared_ptr<const participant_death> queue_death(participant_death&& death);

  void report_holds();
  void check_name();

  segment segment_;  // keeps it open
  std::shared_ptr<mapping> map_;
  supervisor_options options_;
  event_set events_;
  repeating_timer timer_;
  wake_up wake_up_;
  std::optional<change_watch> changes_;
  watch_list processes_;
  record_watch records_;
  inheritance_watch inheritances_;
  hold_watch holds_;
  std::map<pid_t, recovery> partly_recovered_;
  std::deque<std::function<void()>> callbacks_;
  std::vector<std::string> failing_;  // reported failures that have not succeeded since
  bool name_lost_ = false;            // and reported, or there never was a name
  bool child_added_ = false;          // since the last dispatch()
  bool begun_ = false;                // by the first dispatch(), which sweeps
  bool first_sweep_ = true;
};

}  // namespace outlive::detail
