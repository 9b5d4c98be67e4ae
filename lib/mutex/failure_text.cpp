#include "mutex/failure_text.hpp"

#include <exception>
#include <memory>
#include <string_view>

#include <outlive/error.hpp>

#include "directory/directory.hpp"
#include "directory/lock_class.hpp"
#include "directory/names.hpp"
#include "format/lock_state.hpp"
#include "mapping/mapping.hpp"
#include "records/marks.hpp"
#include "records/thread_slot.hpp"
#include "repair/registry.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

std::string describe(const mapping* map, const lock_bytes& lock) {
  if (map == nullptr) return "mutex in ordinary memory";
  const std::uint64_t offset = map->offset_of(&lock);
  blocks::name_copy copy;  // the object may end while it is looked at
  const std::string_view name = directory::copy_name_of(*map, offset, copy);
  std::string text = map->describe() + ", mutex ";
  text += name.empty() ? "at offset " + std::to_string(offset) : '"' + std::string(name) + '"';
  if (map->lock_at(offset).lock == nullptr) return text;
  return text + " of class \"" + std::string(lock_class_name(*map, lock)) + '"';
}

// The holder that the state names. Its record may belong to another thread by now: this is only for
// a message.
std::string holder_of(const mapping* map, lock_state state) {
  const record_id holder = state.holder();
  if (!holder) return "nobody";
  if (map == nullptr || holder.index_plus_1 > map->record_count()) return "an unknown thread";
  const thread_record& record = map->record(holder.index_plus_1 - 1);
  return "pid " + std::to_string(record.pid.load(std::memory_order_relaxed)) + " tid " +
         std::to_string(record.tid.load(std::memory_order_relaxed));
}

std::string held_here(const mapping* map, const lock_bytes& lock) {
  const attachment* const mine = this_thread::attachment_of(&lock);
  const held_entry* const top = mine == nullptr                ? nullptr
                                : current_slot.current == mine ? current_slot.top
                                                               : mine->top;
  const std::ptrdiff_t count = mine == nullptr ? 0 : top - mine->held;
  if (mine != nullptr && top < this_thread::limit_of(*mine)) {
    mark_ids ids;
    return "found " + std::to_string(marks_in(*mine->map, mine->index, ids)) +
           " holds of shared mutexes by this thread, expected room for one more (at most " +
           std::to_string(ids.size()) + ", fewer where the mutexes lie unfavourably)";
  }
  const std::uint32_t limit = map == nullptr ? 0 : map->constants().max_held;
  return "found " + std::to_string(count) +
         " mutexes of the segment held by this thread, expected fewer than " +
         std::to_string(limit) + " (segment_options::max_held), and than 1,900 in all segments";
}

bool has_lock_magic(const lock_bytes& lock) noexcept {
  const std::uint32_t magic = lock.magic.load(std::memory_order_relaxed);
  return magic == native_lock_magic || magic == shared_lock_magic;
}

// Which classes this process has repairs for: often the name of one was mistyped.
std::string missing_repair(const mapping* map, const lock_bytes& lock) {
  if (map == nullptr) return {};
  std::string others;
  for (const std::uint32_t each : classes_with_repair(*map))
    others += (others.empty() ? "\"" : ", \"") + std::string(names::text_of(*map, each)) + '"';
  const std::string own(lock_class_name(*map, lock));
  return "found no repair for it in this process, which has " +
         (others.empty() ? "none for any class of the segment" : "some for " + others) +
         ", expected on_owner_death(segment, \"" + own + "\", ...) before the lock";
}

// The way out of "not recoverable".
constexpr std::string_view reset_it =
    "; outlive::reset() or `outlive reset` rebuilds the data, then it can be locked again";

std::string found_damage(const mapping* map, const lock_bytes& lock, lock_state state) {
  if (has_lock_magic(lock) && !native_mutex::is_intact(lock.native))
    return "found a native mutex of another kind, expected the one that its constructor made";
  if (map != nullptr && !native_mutex::is_intact(map->header().adoption.native))
    return "found the segment's adoption lock overwritten, expected a robust mutex";
  if (map != nullptr && has_lock_magic(lock) && !fitting_lock_class(*map, lock)) {
    return "found lock class word " + std::to_string(lock.lock_class) +
           ", expected that of a class that guards what lies in its object";
  }
  return "found kind " + std::to_string(lock.magic.load(std::memory_order_relaxed)) +
         " and state " + std::to_string(state.word()) +
         ", expected those of a robust mutex that was constructed and not destroyed";
}

// `thrown`: what the repair threw, if that is known.
std::string failed_repair(lock_state state, const std::string& attempts, const std::string& limit,
                          std::string_view thrown) {
  std::string text = "found that attempt " + attempts + " of " + limit + " to repair it ";
  text += thrown.empty() ? "failed" : "threw \"" + std::string(thrown) + '"';
  text += ", expected the repair to return repaired";
  const bool is_last = state.condition() == lock_condition::not_recoverable;
  return text + (is_last ? std::string(reset_it) : "; the next lock() tries again");
}

std::string found_and_expected(const mapping* map, const lock_bytes& lock, errc code,
                               std::string_view thrown) {
  const lock_state state(lock.state.load(std::memory_order_relaxed));
  const std::string attempts = std::to_string(state.attempts());
  const std::string limit = std::to_string(map == nullptr ? 0 : map->constants().attempts);
  switch (code) {
    case errc::deadlock:
      return "found this thread as its holder, expected another thread or nobody";
    case errc::not_owner:
      return "found " + holder_of(map, state) + " as its holder, expected this thread";
    case errc::too_many_locks: return held_here(map, lock);
    case errc::in_repair:
      return "found a repair in this thread, expected lock() outside of repairs";
    case errc::not_in_segment: return "found no mapped segment there, expected the mutex in one";
    case errc::owner_died_unrepaired: return missing_repair(map, lock);
    case errc::repair_failed: return failed_repair(state, attempts, limit, thrown);
    case errc::not_recoverable:
      return "found " + attempts + " failed attempts to repair it, expected one of " + limit +
             " (segment_options::attempts) to succeed" + std::string(reset_it);
    case errc::in_use: return "found other threads repairing it for 2 s, expected them to finish";
    case errc::forked_in_repair:
      return "found a child that was forked in the repair, expected its parent";
    case errc::damaged: return found_damage(map, lock, state);
    default: return {};
  }
}

}  // namespace

std::string failure_text(const lock_bytes& lock, std::error_code error, std::string_view thrown) {
  const std::shared_ptr<mapping> map = mapping_table::find(&lock);
  std::string text = describe(map.get(), lock);
  if (error.category() != error_category()) return text;
  const std::string more =
      found_and_expected(map.get(), lock, static_cast<errc>(error.value()), thrown);
  return more.empty() ? text : text + ": " + more;
}

void throw_failure(const lock_bytes& lock, const outcome& of) {
  if (!of.thrown) throw std::system_error(of.error, failure_text(lock, of.error));
  try {
    std::rethrow_exception(of.thrown);
  } catch (const std::exception& error) {
    std::throw_with_nested(std::system_error(of.error, failure_text(lock, of.error, error.what())));
  } catch (...) {
    std::throw_with_nested(
        std::system_error(of.error, failure_text(lock, of.error, "no std::exception")));
  }
}

}  // namespace outlive::detail
