#include "supervise/dead_threads.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "mutex/attach.hpp"
#include "mutex/recovery.hpp"
#include "records/held_entries.hpp"
#include "records/thread_records.hpp"
#include "recovery/recovery_lines.hpp"
#include "repair/death_log.hpp"
#include "repair/report.hpp"
#include "sys/native_mutex.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

namespace {

// A look into /proc costs a hundred times what a test signal does. So a sweep looks at this many
// records closely, and the next sweep at the next ones.
constexpr std::uint32_t close_looks = 16;

// Whether the thread died with the record. A thread that releases its record leaves nothing in the
// word. A dead one's id stays there until the word is marked.
bool died_with(const thread_record& record) noexcept {
  return thread_records::is_marked(record) ||
         (thread_records::is_held(record) && thread_records::is_dead(record));
}

// Even if the mutex is held: a waiter that is woken then sets the waiters bit again, and sleeps. A
// third thread may have acquired the mutex before the woken waiter did. It saw no waiters, and
// would wake none.
void wake_waiters(const mapping& map, const std::vector<dead_thread_record>& dead) noexcept {
  for (const auto& record : dead) {
    for (const auto& entry : record.report.in_hand) {
      const auto [lock, native, shared] = map.lock_at(entry.mutex_offset);
      if (lock != nullptr && native) native_mutex::wake_one(lock->native);
    }
  }
}

}  // namespace

std::vector<dead_thread_record> find_dead_threads(const mapping& map, pid_t pid) {
  std::vector<dead_thread_record> found;
  for (std::uint32_t index = 0; index < map.record_count(); ++index) {
    const thread_record& record = map.record(index);
    if (record.pid.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(pid) ||
        !died_with(record))
      continue;
    dead_thread_record dead;
    dead.index = index;
    const thread_records::life read(record);
    dead.generation = read.generation();
    thread_facts facts;
    if (!describe_thread(facts, map, index, dead.generation) || facts.thread.pid != pid) continue;
    dead.report.who = facts.thread;
    owner_crash crash;
    if (describe_crash(crash, map, index, facts.participant)) dead.report.crash = to_report(crash);
    held_entries(map, index).for_each_upwards([&](const seen_entry& entry) {
      if (map.lock_at(entry.offset()).lock == nullptr) return;
      dead.report.in_hand.push_back(describe_hold(map, facts, entry));
      dead.pending = dead.pending || thread_records::is_pending(map, index, entry);
    });
    // If nothing was pending, another thread may have claimed the record meanwhile.
    if (read.is_same()) found.push_back(std::move(dead));
  }
  return found;
}

recovery recover_dead_threads(const std::shared_ptr<mapping>& map, pid_t pid,
                              const std::vector<dead_thread_record>& dead) {
  const auto begin = std::chrono::steady_clock::now();
  recovery result;
  std::vector<recovered_lock> done;
  if (!dead.empty()) {
    const spare_scope identity(map);
    recover_dead(identity.mine(), pid, no_limit,
                 [&](const recovered_lock& lock) { done.push_back(lock); });
    wake_waiters(*map, dead);
  }
  result.time = std::chrono::steady_clock::now() - begin;
  result.lines.reserve(done.size());
  for (const auto& lock : done) {
    result.postponed = result.postponed || lock.postponed;
    if (!lock.postponed) result.lines.push_back(describe(*map, lock));
  }
  return result;
}

std::vector<inherited_mutex> inheritance_watch::find(
    pid_t pid, pid_t tid, std::uint64_t start_time, const std::vector<recovered_mutex>& recovered) {
  std::map<std::pair<std::uint64_t, pid_t>, inherited_mutex> last;
  const auto is_recovered = [&](const logged_death& death) {
    return std::any_of(recovered.begin(), recovered.end(), [&](const recovered_mutex& line) {
      return line.tid == death.owner.tid && map_.offset_of(line.mutex) == death.mutex_offset;
    });
  };
  for (const logged_death& death : read_deaths(map_, pid)) {
    // An earlier process may have had the pid. A thread started no earlier than its process.
    if (death.owner.start_time < start_time || (tid != 0 && death.owner.tid != tid)) continue;
    if (!reported_.insert(death.number).second || is_recovered(death)) continue;
    last[{death.mutex_offset, death.owner.tid}] = {death.mutex_name, death.lock_class,
                                                   death.owner.tid, death.heir, death.outcome};
  }
  while (reported_.size() > death_log_capacity) reported_.erase(reported_.begin());
  std::vector<inherited_mutex> found;
  for (auto& [at, mutex] : last) found.push_back(std::move(mutex));
  return found;
}

// The kernel marks the records of the dead. Those that it did not mark are orphans: the id of their
// thread is free or, rarely, another thread's by now.
bool record_watch::has_died(std::uint32_t index, const thread_record& record) const noexcept {
  const std::uint32_t bearer = native_mutex::word(record.liveness) & native_mutex::tid_mask;
  if (bearer == 0) return thread_records::is_marked(record);
  if (is_thread_id_free(static_cast<pid_t>(bearer))) return true;
  const std::uint32_t distance =
      (index + map_.record_count() - next_close_look_) % map_.record_count();
  return distance < close_looks && thread_records::is_dead(record);
}

std::vector<pid_t> record_watch::find_deaths() {
  std::vector<pid_t> found;
  for (std::uint32_t index = 0; index < map_.record_count(); ++index) {
    const thread_record& record = map_.record(index);
    if (record.generation.load(std::memory_order_acquire) == handled_[index] ||
        !has_died(index, record))
      continue;
    const auto pid = static_cast<pid_t>(record.pid.load(std::memory_order_relaxed));
    if (pid > 0 && std::find(found.begin(), found.end(), pid) == found.end()) found.push_back(pid);
  }
  next_close_look_ = (next_close_look_ + close_looks) % map_.record_count();
  return found;
}

void record_watch::remove_handled(std::vector<dead_thread_record>& dead) {
  std::erase_if(dead, [&](const dead_thread_record& each) {
    return handled_[each.index] == each.generation;
  });
  for (const auto& each : dead) handled_[each.index] = each.generation;
}

}  // namespace outlive::detail
