#include "supervise/thread_reports.hpp"

#include <atomic>
#include <exception>
#include <utility>

#include "format/lock_state.hpp"
#include "records/handed_count.hpp"
#include "repair/report.hpp"
#include "sys/thread_status.hpp"

namespace outlive::detail {

namespace {

thread_facts facts_of(const mapping& map, const hold_times::hold& of) noexcept {
  thread_facts facts;
  describe_thread(facts, map, of.record, of.generation);
  return facts;
}

thread_condition condition_of(pid_t tid) {
  const thread_status seen = read_thread_status(tid);
  if (seen.dumping) return thread_condition::dumping_core;
  if (seen.frozen) return thread_condition::frozen;
  switch (seen.state) {
    case 'R': return thread_condition::running;
    case 'S': return thread_condition::sleeping;
    case 'D': return thread_condition::waiting_for_device;
    case 'T': return thread_condition::stopped;
    case 't': return thread_condition::traced;
    default: return thread_condition::unknown;
  }
}

held_lock describe(const mapping& map, const thread_facts& by, const seen_hold& seen) {
  if (seen.kind == held_kind::mutex || seen.kind == held_kind::shared)
    return describe_hold(map, by, seen.of.mutex_offset);
  held_lock made;
  made.mutex_offset = seen.of.mutex_offset;
  made.mutex_name = mutex_name_at(map, seen.of.mutex_offset);
  return made;
}

// A source of stacks that fails costs the stack, not the report.
thread_stack stack_of(pid_t tid, const stack_source& stacks) {
  if (!stacks) return {{}, "no source of stacks was given (supervisor_options::stacks)"};
  try {
    return stacks(tid);
  } catch (const std::exception& error) {
    return {{}, error.what()};
  }
}

}  // namespace

hung_owner report_hung(const mapping& map, const hold_watch& holds, const long_hold& found,
                       const stack_source& stacks) {
  hung_owner report;
  const hold_times::hold& of = found.seen.of;
  const thread_facts facts = facts_of(map, of);
  report.who = facts.thread;
  report.kind = found.seen.kind;
  report.held = describe(map, facts, found.seen);
  report.held.held = true;
  report.at_least = found.at_least;
  if (const lock_bytes* const lock = map.lock_at(of.mutex_offset).lock;
      lock != nullptr && report.kind == held_kind::mutex) {
    report.repairing = lock_state(lock->state.load(std::memory_order_acquire)).condition() ==
                       lock_condition::repairing;
  }
  report.may_be_on_its_way = (report.kind == held_kind::job || report.kind == held_kind::permit) &&
                             handed_hint::is_set(map.record(of.record));
  report.record = of.record;
  report.generation = of.generation;
  if (!report.who.known) return report;
  for (const hold_times::hold& waiter : holds.waiters_for(of.mutex_offset))
    report.waiters.push_back(facts_of(map, waiter).thread);
  report.condition = condition_of(report.who.tid);
  report.stack = stack_of(report.who.tid, stacks);
  return report;
}

deadlock report_deadlock(const mapping& map, const cycle& found, const stack_source& stacks) {
  deadlock report;
  for (const seen_hold& each : found) {
    const thread_facts facts = facts_of(map, each.of);
    deadlocked_thread thread{facts.thread, describe(map, facts, each), {}, each.kind};
    if (thread.who.known) thread.stack = stack_of(thread.who.tid, stacks);
    report.threads.push_back(std::move(thread));
  }
  return report;
}

}  // namespace outlive::detail
