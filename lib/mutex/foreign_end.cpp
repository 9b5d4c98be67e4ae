#include "mutex/foreign_end.hpp"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "format/lock_state.hpp"
#include "mapping/segment_name.hpp"
#include "records/marks.hpp"
#include "records/outlived_holds.hpp"
#include "records/stale_guards.hpp"
#include "records/thread_records.hpp"
#include "records/thread_slot.hpp"
#include "repair/report.hpp"
#include "sys/endings.hpp"
#include "sys/process.hpp"

namespace outlive {

namespace detail {

namespace {

constinit std::atomic<misuse_handler> handler_of_program{nullptr};

[[noreturn]] void end_process(const misuse& what) {
  write_to_stderr("outlive: " + to_string(what) + '\n');
  std::abort();
}

thread_identity calling_thread() {
  thread_identity self;
  self.known = true;
  self.pid = current_pid();
  self.tid = current_tid();
  self.start_time = start_time_of(self.tid);
  self.thread_name = current_thread_name().data();
  self.command_name = current_command_name().data();
  return self;
}

void report(hold_kind kind, const mapping& map, const void* object, std::uint32_t record) {
  misuse what{};
  what.kind = kind;
  what.segment_name = map.constants().name;
  what.object_name = mutex_name_at(map, map.offset_of(object));
  thread_facts holder;
  // the thread may end meanwhile; then it is unknown
  describe_thread(holder, map, record, thread_records::life(map.record(record)).generation());
  what.holder = holder.thread;
  what.ended_in = calling_thread();
  const misuse_handler handler = handler_of_program.load(std::memory_order_acquire);
  (handler != nullptr ? handler : &end_process)(what);
}

}  // namespace

bool is_neighbour(const mapping& map, std::uint64_t index_plus_1, std::uint64_t generation,
                  std::uint64_t mask) noexcept {
  if (index_plus_1 == 0 || index_plus_1 > map.record_count()) return false;
  const auto index = static_cast<std::uint32_t>(index_plus_1 - 1);
  const attachment* const mine = this_thread::attachment_of(map.base());
  if (mine != nullptr && mine->index == index) return false;
  const thread_records::record_snapshot record(map.record(index));
  const auto own = map.known_participant();
  return (record.generation() & mask) == generation && own && record.participant == *own &&
         !thread_records::is_dead(map.record(index)) && record.is_same();
}

bool report_foreign_end(hold_kind kind, const void* object, std::uint64_t index_plus_1,
                        std::uint64_t generation, std::uint64_t mask) noexcept {
  const std::shared_ptr<mapping> map = mapping_table::find(object);
  if (!map || !is_neighbour(*map, index_plus_1, generation, mask)) return false;
  report(kind, *map, object, static_cast<std::uint32_t>(index_plus_1 - 1));
  return true;
}

void end_foreign_hold(hold_kind kind, const void* object, std::uint64_t index_plus_1,
                      std::uint64_t generation, std::uint64_t mask) noexcept {
  if (report_foreign_end(kind, object, index_plus_1, generation, mask))
    lose_hold(object, index_plus_1, generation, mask);
  else
    end_outlived_hold(object, index_plus_1, generation, mask);
}

void end_hold_elsewhere(const void* object, std::uint64_t index_plus_1, std::uint64_t generation,
                        std::uint64_t mask) noexcept {
  const std::shared_ptr<mapping> map = mapping_table::find(object);
  if (map && is_neighbour(*map, index_plus_1, generation, mask))
    lose_hold(object, index_plus_1, generation, mask);
  else
    end_outlived_hold(object, index_plus_1, generation, mask);
}

void report_foreign_guard(const lock_bytes& lock) noexcept {
  if (const auto map = mapping_table::find(&lock); !map || stale_guards::possible(*map)) return;
  const lock_state state(lock.state.load(std::memory_order_relaxed));
  const record_id holder = state.holder();
  report_foreign_end(hold_kind::guard, &lock, holder.index_plus_1, holder.generation,
                     holder_generation_mask);
}

void report_foreign_shared_guard(const shared_lock_bytes& lock) noexcept {
  const std::shared_ptr<mapping> map = mapping_table::find(&lock);
  if (!map || stale_guards::possible(*map)) return;
  const std::uint32_t id = mark_id(map->offset_of(&lock)), end = records_in_use(*map);
  for (std::uint32_t i = next_marked(*map, 0, end, id); i < end;
       i = next_marked(*map, i + 1, end, id)) {
    const std::uint64_t generation = thread_records::life(map->record(i)).generation();
    if (!is_reader(*map, i, id) || !is_neighbour(*map, i + 1, generation, generation_bits))
      continue;
    return report(hold_kind::shared_guard, *map, &lock, i);
  }
}

}  // namespace detail

std::string_view to_string(hold_kind kind) noexcept {
  switch (kind) {
    case hold_kind::guard: return "guard";
    case hold_kind::shared_guard: return "shared guard";
    case hold_kind::permit: return "permit";
    case hold_kind::lease: return "lease";
    case hold_kind::dead_letter: return "dead letter";
  }
  return "unknown";
}

std::string to_string(const misuse& what) {
  std::string text = "a " + std::string(to_string(what.kind)) + " of ";
  text += detail::describe_segment(what.segment_name) + ", object \"" + what.object_name;
  text += "\" ended in " + to_string(what.ended_in) + ", but " + to_string(what.holder);
  text += " has what it held, and keeps it until that thread ends; let a " +
          std::string(to_string(what.kind)) + " end in the thread that got it";
  const bool is_guard = what.kind == hold_kind::guard || what.kind == hold_kind::shared_guard;
  if (!is_guard) text += ", or hand it over: hand_over(), and take() in the other thread";
  return text;
}

misuse_handler set_misuse_handler(misuse_handler handler) noexcept {
  return detail::handler_of_program.exchange(handler, std::memory_order_acq_rel);
}

}  // namespace outlive
