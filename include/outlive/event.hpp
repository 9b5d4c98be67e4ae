// on_event: the program hears what heirs in this process do: for its log.
//
// An ordinary lock() repairs what a dead owner left, and nobody but the death log hears of it. With
// a handler the program hears of each owner death that one of its threads meets, and of each repair
// that one of them runs: by lock(), recover(), reset() or a supervisor. Without a handler it costs
// nothing; with one a lock() that meets no death costs the same.
//
//   outlive::on_event([](const outlive::event& x) { log(outlive::to_string(x)); });
//
// bpftrace and perf see the same from outside, in any process, by the probes of outlive_event(3).
#pragma once

#include <outlive/detail/requirements.hpp>

#include <pthread.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <outlive/death_log.hpp>
#include <outlive/detail/export.hpp>
#include <outlive/owner_death.hpp>

namespace outlive {

enum class event_kind : std::uint8_t {
  death_met,     // before the repair, or when the mutex has been given up
  repair_ended,  // the repair returned; the mutex is not released yet
};
[[nodiscard]] OUTLIVE_API std::string_view to_string(event_kind kind) noexcept;

struct event {
  event_kind kind;
  const owner_death& death;  // as the repair gets it; valid during the call
  // Of death_met: repairing, or unrepaired or not_recoverable if there will be no repair.
  death_outcome outcome;
  std::chrono::nanoseconds repair_time;  // of repair_ended
};
// Returns: one line: "pid 12 tid 12 (worker) died with "pot" of class "account": repaired in 3 us,
// attempt 1".
[[nodiscard]] OUTLIVE_API std::string to_string(const event& what);

// Makes it the handler of this process, in place of the former one; an empty one turns it off. The
// thread that meets the death calls it, inside of lock() or whatever it called, while it has the
// mutex natively: for all others the mutex is busy meanwhile. As a repair, it acquires no mutex of
// a segment (errc::in_repair). It must not throw or call pthread_exit(): either ends the process.
// A cancellation of the thread is deferred until it has returned. A death in it before the repair
// is one in the repair: it uses up one of segment_options::attempts. After a death in it later, the
// next heir finds the mutex repaired, or given up.
// A handler is kept until the process ends, so set it once, not often.
// Errors: std::bad_alloc. Blocks: never. Any thread may call it at any time.
// After fork: the child has the same. If the handler itself forks, the call that it was called by
//   fails in the child: errc::forked_in_repair.
OUTLIVE_API void on_event(std::function<void(const event&)> handler);

}  // namespace outlive
