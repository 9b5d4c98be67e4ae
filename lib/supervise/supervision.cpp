#include "supervise/supervision.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>

#include <outlive/error.hpp>

#include "segment/named_file.hpp"
#include "segment/segment_access.hpp"

namespace outlive::detail {

namespace {

// Keys of the event set. Those of processes are their identities, which have a pid in the upper
// half.
constexpr std::uint64_t timer_key = 1;
constexpr std::uint64_t kick_key = 2;
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

// The same for a process and for its threads: a sweep may find these dead while the process is
// still ending, and fail of the same cause.
std::string recovery_of(pid_t pid) {
  return "recovering what dead threads of pid " + std::to_string(pid) + " held";
}

}  // namespace

supervision::supervision(const segment& seg, const supervisor_options& options)
    : segment_(seg),
      map_(segment_access::mapping_of(seg)->shared_from_this()),
      options_(checked(options)),
      timer_(options.sweep),
      processes_(*map_, events_, [this](const std::system_error& error) { complain(error); }),
      records_(*map_),
      holds_(*map_),
      name_lost_(map_->constants().name[0] == 0) {
  events_.add(timer_.fd(), timer_key);
  events_.add(kick_.fd(), kick_key);
  watch_for_changes();
  kick_.notify();
}

void supervision::watch_for_changes() {
  try {
    changes_.emplace(map_->fd());
    events_.add(changes_->fd(), changes_key);
  } catch (const std::system_error& error) {
    changes_.reset();
    complain(std::system_error(
        error.code(),
        map_->describe() +
            ": found its file not to be watched, expected inotify; new participants are "
            "found in each sweep"));
  }
}

void supervision::dispatch() {
  deliver();
  bool changed = false;
  bool due = !std::exchange(begun_, true);
  for (const std::uint64_t key : events_.ready(events_at_once)) {
    if (key == timer_key)
      due = true, timer_.acknowledge();
    else if (key == kick_key)
      kick_.acknowledge();
    else if (key == changes_key)
      changed = true, changes_->acknowledge();
    else
      bury(key);
  }
  if (changed || due) look();
  if (changed || due) look_at_name();
  if (due) sweep();
  deliver();
}

void supervision::run(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] { kick_.notify(); });
  while (!stop.stop_requested()) {
    events_.wait();
    dispatch();
  }
}

void supervision::look() {
  for (const std::uint64_t identity : processes_.look()) bury(identity);
}

void supervision::sweep() {
  for (const pid_t pid : records_.find_deaths()) bury_threads(pid);
  first_sweep_ = false;
  if (on_hung || on_deadlock) look_at_holds();
}

void supervision::look_at_name() {
  if (name_lost_ || !on_name_lost) return;
  told_if_it_fails("looking where its name leads", [&] {
    if (named_file::leads_to(map_->constants(), map_->device())) return;
    lost_name lost{map_->constants().name, named_file::inspect(map_->constants().name).has_value()};
    name_lost_ = true;
    queue([this, lost = std::move(lost)] { on_name_lost(lost); });
  });
}

// ---- telling -----------------------------------------------------------------------------------

void supervision::queue(std::function<void()> telling) {
  to_tell_.push_back(std::move(telling));
}

void supervision::deliver() {
  while (!to_tell_.empty()) {
    const std::function<void()> telling = std::move(to_tell_.front());
    to_tell_.pop_front();
    try {
      telling();
    } catch (...) {
      if (!to_tell_.empty()) kick_.notify();
      throw;
    }
  }
}

void supervision::complain(const std::system_error& error) {
  queue([this, error] {
    if (!on_error) throw error;
    on_error(error);
  });
  kick_.notify();
}

// What fails in each sweep is told once, until it has succeeded.
template <class Work>
void supervision::told_if_it_fails(const std::string& what, Work work) {
  try {
    work();
    std::erase(failing_, what);
  } catch (const std::system_error& error) {
    if (error.code() == errc::forked_in_repair) throw;
    if (std::find(failing_.begin(), failing_.end(), what) != failing_.end()) return;
    failing_.push_back(what);
    complain(std::system_error(error.code(), map_->describe() + ", " + what + ": " + error.what()));
  }
}

// ---- deaths ------------------------------------------------------------------------------------

recovery supervision::recover(pid_t pid, const std::vector<dead_thread_record>& dead) {
  recovery now = recover_dead_threads(map_, pid, dead);
  recovery& all = half_recovered_[pid];
  std::move(now.lines.begin(), now.lines.end(), std::back_inserter(all.lines));
  all.time += now.time;
  if (now.postponed) {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                            "found another thread in the adoption lock, which it did not leave in "
                            "time (is it stopped?), expected it to be free; it is "
                            "tried again in each sweep");
  }
  recovery done = std::move(all);
  half_recovered_.erase(pid);
  return done;
}

std::shared_ptr<const participant_death> supervision::bury(std::uint64_t identity) {
  watched_process* const process = processes_.ended(identity);
  if (process == nullptr) return nullptr;
  std::shared_ptr<const participant_death> told;
  participant_death death;
  death.when = std::chrono::system_clock::now();
  processes_.silence(*process);  // if what follows fails, the next look comes back to it
  told_if_it_fails(recovery_of(process->pid), [&] {
    std::vector<dead_thread_record> dead = find_dead_threads(*map_, process->pid);
    recovery done = recover(process->pid, dead);
    records_.deal_with(dead);
    const auto end = process->handle.is_ours() ? process_handle::end_of_child(
                                                     process->handle.get(), options_.reap_children)
                                               : std::nullopt;
    processes_.describe(*process, identity);
    death.pid = process->pid;
    death.start_time = process->start_time;
    death.command_name = process->command.empty() ? "unknown" : process->command;
    if (end) (end->by_signal ? death.signal : death.exit_code) = end->value;
    death.core_dumped = end && end->core_dumped;
    for (const auto& each : dead) {
      if (!each.report.in_hand.empty() || each.report.crash) death.threads.push_back(each.report);
    }
    death.recovered = std::move(done.lines);
    death.recovery_time = done.time;
    const bool worth_telling = !process->from_before || was_pending(dead);
    processes_.close(*process);
    if (worth_telling) told = queue_death(std::move(death));
  });
  return told;
}

// Threads that died in a process that lives, or that nobody watched.
void supervision::bury_threads(pid_t pid) {
  // that is tried again by look()
  if (const watched_process* const process = processes_.find(pid);
      process != nullptr && process->ended)
    return;
  const auto now = std::chrono::system_clock::now();
  told_if_it_fails(recovery_of(pid), [&] {
    std::vector<dead_thread_record> dead = find_dead_threads(*map_, pid);
    recovery done = recover(pid, dead);
    records_.deal_with(dead);
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
      death.when = now;
      death.recovery_time = done.time;
      queue_death(std::move(death));
    }
  });
}

std::shared_ptr<const participant_death> supervision::queue_death(participant_death&& death) {
  auto told = std::make_shared<const participant_death>(std::move(death));
  queue([this, told] {
    if (on_death) on_death(*told);
  });
  return told;
}

}  // namespace outlive::detail
