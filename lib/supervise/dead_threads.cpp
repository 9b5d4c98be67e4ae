#include "supervise/dead_threads.hpp"

#include "mutex/attach.hpp"
#include "mutex/recovery.hpp"
#include "records/held_entries.hpp"
#include "records/thread_records.hpp"
#include "recovery/recovery_lines.hpp"
#include "repair/report.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

// Whether the thread died with the record. A thread that releases its record leaves nothing in the
// word. A dead one's id stays there until the word is marked.
bool died_with(const thread_record& record) noexcept {
  return thread_records::is_marked(record) ||
         (thread_records::is_held(record) && thread_records::is_dead(record));
}

// Free or not: whoever is woken while another has the mutex sets the bit that tells of waiters, and
// sleeps again. A third one that had taken the mutex from under the waiter that was woken knew of
// none, and would wake nobody.
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
    // Without anything pending another thread may have taken the record meanwhile: then what was
    // read is not this thread's.
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

}  // namespace outlive::detail
