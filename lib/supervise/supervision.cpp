// The way from an event to a callback:
//
//   dispatch()                          what is ready in events_
//     a process handle                  -> recover_process()
//     the segment's file changed, timer -> recover_ended(): watch_list finds new participants and
//                                          ended processes -> recover_process() for each
//                                       -> check_name()
//     the timer                         -> sweep()
//   sweep()
//     record_watch finds dead threads   -> recover_threads() for each process
//     hold_watch samples the records    -> report_holds()
//   recover_process(), recover_threads()
//     find_dead_threads()                  what the records say, before the recovery changes it
//     wake_sleepers() alone                for a process that is ending: the handle reports it
//     finish_recovery()                    recover_dead_threads(); a postponed one is retried.
//                                          Then wake_sleepers(): for jobs and permits of the dead
//     record_watch::remove_handled()       deaths that an earlier call reported
//     queue_death()                     -> enqueue()
//   report_holds(), check_name(), report_error() -> enqueue()
//   run_callbacks()                        at the begin and the end of dispatch(): the user's
//                                          functions, when nothing is half done
//
// kill_and_recover() comes from the user, also within a callback: it kills the process, and calls
// recover_process() without waiting for the event.
#include "supervise/supervision.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include <outlive/error.hpp>

#include "companions/sleepers.hpp"
#include "segment/named_file.hpp"
#include "segment/segment_access.hpp"
#include "supervise/thread_reports.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

namespace {

// Keys of the event set. Those of processes are their identities, which have a pid in the upper
// half.
constexpr std::uint64_t timer_key = 1;
constexpr std::uint64_t wake_up_key = 2;
constexpr std::uint64_t changes_key = 3;

constexpr std::size_t events_at_once = 64;

const supervisor_options& checked(const supervisor_options& options) {
  using namespace std::chrono_literals;
  if (options.sweep >= 1ms && options.sweep <= 1h) return options;
  throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                          "supervisor: found a sweep of " + std::to_string(options.sweep.count()) +
                              " ms, expected 1 ms to 1 hour");
}

bool was_pending(const std::vector<dead_thread_record>& dead) noexcept {
  return std::any_of(dead.begin(), dead.end(),
                     [](const dead_thread_record& each) { return each.pending; });
}

// Between the release of its mutexes and its end the kernel frees a process's memory and closes its
// files, which may take long. Then what it held is recovered before its end.
bool may_be_awaited(watched_process& process) {
  constexpr std::chrono::seconds longest(1);
  const auto now = std::chrono::steady_clock::now();
  if (process.ending_since == std::chrono::steady_clock::time_point{}) process.ending_since = now;
  return now - process.ending_since < longest;
}

// The same for a process and its threads: a sweep may find these dead while the process is still
// ending, and fail for the same cause.
std::string recovery_of(pid_t pid) {
  return "recovering what dead threads of pid " + std::to_string(pid) + " held";
}

struct wake_at_end {
  const mapping& map;
  ~wake_at_end() { wake_sleepers(map); }
};

[[noreturn]] void refuse(std::errc code, const mapping& map, pid_t pid, const std::string& why) {
  throw std::system_error(std::make_error_code(code),
                          map.describe() + ", participant pid " + std::to_string(pid) + ": " + why);
}

}  // namespace

supervision::supervision(const segment& seg, const supervisor_options& options)
    : segment_(seg),
      map_(segment_access::mapping_of(seg)->shared_from_this()),
      options_(checked(options)),
      timer_(options.sweep),
      processes_(*map_, events_, [this](const std::system_error& error) { report_error(error); }),
      records_(*map_),
      inheritances_(*map_),
      holds_(seg, *map_),
      name_lost_(map_->constants().name[0] == 0) {
  events_.add(timer_.fd(), timer_key);
  events_.add(wake_up_.fd(), wake_up_key);
  watch_for_changes();
  wake_up_.notify();
}

void supervision::watch_for_changes() {
  try {
    changes_.emplace(map_->fd());
    events_.add(changes_->fd(), changes_key);
  } catch (const std::system_error& error) {
    changes_.reset();
    report_error(std::system_error(
        error.code(),
        map_->describe() +
            ": found that its file cannot be watched, expected inotify; each sweep finds new "
            "participants instead"));
  }
}

void supervision::add_child(pid_t pid) {
  processes_.add_child(pid);
  child_added_ = true;  // it may have ended before there was a handle
  wake_up_.notify();
}

void supervision::dispatch() {
  run_callbacks();
  bool changed = std::exchange(child_added_, false);
  bool due = !std::exchange(begun_, true);
  for (const std::uint64_t key : events_.ready(events_at_once)) {
    if (key == timer_key)
      due = true, timer_.acknowledge();
    else if (key == wake_up_key)
      wake_up_.acknowledge();
    else if (key == changes_key)
      changed = true, changes_->acknowledge();
    else
      recover_process(key);
  }
  if (changed || due) recover_ended();
  if (changed || due) check_name();
  if (due) sweep();
  run_callbacks();
}

void supervision::run(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] { wake_up_.notify(); });
  while (!stop.stop_requested()) {
    events_.wait();
    dispatch();
  }
}

void supervision::recover_ended() {
  for (const std::uint64_t identity : processes_.refresh()) recover_process(identity);
}

void supervision::sweep() {
  for (const pid_t pid : records_.find_deaths()) recover_threads(pid);
  first_sweep_ = false;
  if (on_hung || on_deadlock) report_holds();
}

void supervision::check_name() {
  if (name_lost_ || !on_name_lost) return;
  try_or_report("checking its name", [&] {
    if (named_file::leads_to(map_->constants(), map_->device())) return;
    lost_name lost{map_->constants().name, named_file::inspect(map_->constants().name).has_value()};
    name_lost_ = true;
    enqueue([this, lost = std::move(lost)] { on_name_lost(lost); });
  });
}

// ---- the queue ---------------------------------------------------------------------------------

void supervision::enqueue(std::function<void()> callback) {
  callbacks_.push_back(std::move(callback));
}

void supervision::run_callbacks() {
  while (!callbacks_.empty()) {
    const std::function<void()> callback = std::move(callbacks_.front());
    callbacks_.pop_front();
    try {
      callback();
    } catch (...) {
      if (!callbacks_.empty()) wake_up_.notify();
      throw;
    }
  }
}

void supervision::report_error(const std::system_error& error) {
  enqueue([this, error] {
    if (on_error) on_error(error);
  });
  wake_up_.notify();
}

// What fails in each sweep is reported once, until it has succeeded.
template <class Work>
void supervision::try_or_report(const std::string& what, Work work) {
  try {
    work();
    std::erase(failing_, what);
  } catch (const std::system_error& error) {
    if (error.code() == errc::forked_in_repair) throw;
    if (std::find(failing_.begin(), failing_.end(), what) != failing_.end()) return;
    failing_.push_back(what);
    report_error(
        std::system_error(error.code(), map_->describe() + ", " + what + ": " + error.what()));
  }
}

// ---- deaths ------------------------------------------------------------------------------------

recovery supervision::finish_recovery(pid_t pid, const std::vector<dead_thread_record>& dead) {
  // Jobs and permits of the dead need no recovery, but nobody has woken the threads that sleep for
  // them. Also if the recovery throws, or the dead left no record.
  const wake_at_end sleepers{*map_};
  recovery now = recover_dead_threads(map_, pid, dead);
  recovery& all = partly_recovered_[pid];
  std::move(now.lines.begin(), now.lines.end(), std::back_inserter(all.lines));
  all.time += now.time;
  if (now.postponed) {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                            "found the adoption lock held by another thread for too long (is it "
                            "stopped?), expected it to be free; each sweep retries");
  }
  recovery done = std::move(all);
  partly_recovered_.erase(pid);
  return done;
}

std::shared_ptr<const participant_death> supervision::recover_process(std::uint64_t identity) {
  watched_process* const process = processes_.ended(identity);
  if (process == nullptr) return nullptr;
  std::shared_ptr<const participant_death> report;
  participant_death death;
  death.when = std::chrono::system_clock::now();
  processes_.silence(*process);  // if what follows fails, recover_ended() comes back to it
  try_or_report(recovery_of(process->pid), [&] {
    std::vector<dead_thread_record> dead = find_dead_threads(*map_, process->pid);
    recovery done = finish_recovery(process->pid, dead);
    records_.remove_handled(dead);
    if (!process->handle.is_ours()) process->handle = watch_list::open_handle(*process);
    // Without a descriptor the number names a child that nobody has waited for, which is this one:
    // who calls add_child() leaves that to the supervisor, or waits after the report.
    std::optional<process_handle::process_end> end;
    if (process->handle)
      end = process_handle::end_of_child(process->handle.get(), options_.reap_children);
    else if (process->is_child)
      end = process_handle::end_of_child_by_pid(process->pid, options_.reap_children);
    processes_.describe(*process, identity);
    death.pid = process->pid;
    death.start_time = process->start_time;
    death.command_name = process->command.empty() ? "unknown" : process->command;
    if (end) (end->by_signal ? death.signal : death.exit_code) = end->value;
    death.core_dumped = end && end->core_dumped;
    for (const auto& each : dead) {
      if (!each.report.in_hand.empty() || each.report.crash) death.threads.push_back(each.report);
    }
    death.inherited = inheritances_.find(death.pid, 0, death.start_time, done.lines);
    death.recovered = std::move(done.lines);
    death.recovery_time = done.time;
    const bool is_reportable = !process->ended_before || was_pending(dead);
    processes_.close(*process);
    if (is_reportable) report = queue_death(std::move(death));
  });
  return report;
}

// Threads that died in a process that lives, or that is not watched.
void supervision::recover_threads(pid_t pid) {
  if (watched_process* const process = processes_.find(pid); process != nullptr) {
    if (process->ended) return;  // recover_ended() retries that
    // Its handle is about to report it: one death, with all that it held. Who sleeps for its jobs
    // or permits need not wait for that.
    if (process->handle && is_ending(pid) && may_be_awaited(*process)) {
      wake_sleepers(*map_);
      return;
    }
  }
  const auto now = std::chrono::system_clock::now();
  try_or_report(recovery_of(pid), [&] {
    std::vector<dead_thread_record> dead = find_dead_threads(*map_, pid);
    recovery done = finish_recovery(pid, dead);
    records_.remove_handled(dead);
    for (const auto& each : dead) {
      if (first_sweep_ && !each.pending) continue;
      participant_death death;
      death.pid = pid;
      death.tid = each.report.who.tid;
      death.start_time = each.report.who.start_time;
      death.command_name = each.report.who.command_name;
      if (!each.report.in_hand.empty() || each.report.crash) death.threads.push_back(each.report);
      std::copy_if(done.lines.begin(), done.lines.end(), std::back_inserter(death.recovered),
                   [&](const recovered_mutex& line) { return line.tid == each.report.who.tid; });
      death.inherited = inheritances_.find(pid, death.tid, death.start_time, death.recovered);
      death.when = now;
      death.recovery_time = done.time;
      queue_death(std::move(death));
    }
  });
}

std::shared_ptr<const participant_death> supervision::queue_death(participant_death&& death) {
  auto report = std::make_shared<const participant_death>(std::move(death));
  enqueue([this, report] {
    if (on_death) on_death(*report);
  });
  return report;
}

// ---- the living --------------------------------------------------------------------------------

void supervision::report_holds() {
  // If it fails, there is a new sample of the mutexes all the same.
  try_or_report("looking at queues and permits",
                [&] { holds_.sample(std::chrono::steady_clock::now()); });
  if (on_hung) {
    for (const long_hold& found : holds_.new_long_holds(hung_threshold)) {
      auto report =
          std::make_shared<const hung_owner>(report_hung(*map_, holds_, found, options_.stacks));
      if (report->who.known) enqueue([this, report] { on_hung(*report); });
    }
  }
  if (!on_deadlock) return;
  for (const cycle& found : holds_.new_deadlocks()) {
    auto report = std::make_shared<const deadlock>(report_deadlock(*map_, found, options_.stacks));
    enqueue([this, report] { on_deadlock(*report); });
  }
}

std::optional<participant_death> supervision::kill_and_recover(const hung_owner& holder) {
  const pid_t pid = holder.who.pid;
  if (pid == current_pid())
    refuse(std::errc::invalid_argument, *map_, pid,
           "found the holder in this process, expected it in another");
  // The kernel drops the signal, and pidfd_send_signal() succeeds.
  if (pid == 1)
    refuse(std::errc::operation_not_permitted, *map_, pid,
           "found process 1 of this PID namespace, which no process inside can kill, expected "
           "another; kill it from outside (docker kill), or run it under an init (docker run "
           "--init)");
  const auto still_holds = [&] {
    return holds_.still_holds(holder.record, holder.generation, holder.held.mutex_offset,
                              holder.kind);
  };
  if (!still_holds()) return std::nullopt;
  watched_process* process = processes_.find(pid);
  if (process == nullptr) {
    recover_ended();
    process = processes_.find(pid);
  }
  file_descriptor opened;
  if (process != nullptr && !process->handle.is_ours()) opened = watch_list::open_handle(*process);
  if (process == nullptr || !(opened || process->handle.is_ours()))
    refuse(std::errc::no_such_process, *map_, pid, "found no descriptor of it, expected one");
  // The descriptor is that of a participant with this pid, and the record's thread, which is one of
  // its threads, lives: so it is the right process. Asked again, because the search takes time.
  if (!still_holds()) return std::nullopt;
  const int handle = opened ? opened.get() : process->handle.get();
  if (const int error = process_handle::kill(handle)) {
    throw std::system_error(
        error, std::generic_category(),
        map_->describe() + ", participant pid " + std::to_string(pid) + ": pidfd_send_signal");
  }
  if (!process_handle::wait_for_end(handle, options_.kill_patience)) {
    refuse(std::errc::timed_out, *map_, pid,
           "found it alive " + std::to_string(options_.kill_patience.count()) +
               " ms after SIGKILL, expected its end");
  }
  if (opened) process->handle = std::move(opened);
  const auto report = recover_process(process->identity);
  wake_up_.notify();
  if (report == nullptr) return std::nullopt;
  return *report;
}

}  // namespace outlive::detail
