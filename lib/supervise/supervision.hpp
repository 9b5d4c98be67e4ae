// supervision: what a supervisor is inside. Its sources of events, and what it does about each.
//
// What is found is first dealt with and put into a queue; callbacks are called from there, when
// nothing is half done. So an exception of one, or a callback that calls dispatch(), finds
// everything in order, and what was not told yet is told by the next dispatch().
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
#include "supervise/record_watch.hpp"
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
  void dispatch();
  void run(const std::stop_token& stop);
  std::optional<participant_death> kill_and_recover(const hung_owner& holder);
  [[nodiscard]] std::size_t watched() const noexcept { return processes_.living(); }

 private:
  void watch_for_changes();
  void look();
  void sweep();
  void deliver();
  void queue(std::function<void()> telling);
  void complain(const std::system_error& error);
  // Runs `work` and reports its errors, except that of a child that a repair forked.
  template <class Work>
  void told_if_it_fails(const std::string& what, Work work);

  // Recovers what the ended process held, and queues its report. Returns: nullptr if it has not
  // ended as far as is known, if the recovery failed, or if nothing is to be reported.
  std::shared_ptr<const participant_death> bury(std::uint64_t identity);
  void bury_threads(pid_t pid);
  // Recovers what they had in hand; with what was recovered at earlier tries. Throws when something
  // had to be postponed: then it is tried again.
  recovery recover(pid_t pid, const std::vector<dead_thread_record>& dead);
  std::shared_ptr<const participant_death> queue_death(participant_death&& death);

  void look_at_holds();
  void look_at_name();

  segment segment_;  // keeps it open
  std::shared_ptr<mapping> map_;
  supervisor_options options_;
  event_set events_;
  repeating_timer timer_;
  wake_up kick_;
  std::optional<change_watch> changes_;
  watch_list processes_;
  record_watch records_;
  hold_watch holds_;
  std::map<pid_t, recovery> half_recovered_;
  std::deque<std::function<void()>> to_tell_;
  std::vector<std::string> failing_;  // what was told to have failed, and has not succeeded since
  bool name_lost_ = false;            // and told, or there never was one
  bool begun_ = false;                // by the first dispatch(), which sweeps
  bool first_sweep_ = true;
};

}  // namespace outlive::detail
