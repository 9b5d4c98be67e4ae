#include "companions/holder.hpp"

#include <iterator>
#include <string>
#include <utility>

#include "directory/directory.hpp"
#include "error/failure.hpp"
#include "mutex/attach.hpp"
#include "records/thread_records.hpp"
#include "sys/membarrier.hpp"

namespace outlive::detail {

attachment* attach_caller_slowly(const void* object, const char* what, const deadline& how_long) {
  const bool in_repair = this_thread::slot().wiped->repairs != 0;
  if (in_repair && how_long.waits()) {
    fail(errc::in_repair, std::string(what) +
                              ": found a repair in this thread, expected a call that may wait to "
                              "be made outside of repairs");
  }
  attachment* const mine = attach(require_in_segment(object, what), how_long);
  // A spare record stays off the fast path, and must not be released while it is about to be used
  // (put_slot_on()).
  if (mine != nullptr && !in_repair && !is_spare(*mine)) this_thread::activate(*mine);
  return mine;
}

bool ask_for_plain_stores(attachment& mine) noexcept {
  if (!std::exchange(mine.asked_for_plain_name, true) && mine.map->has_plain_marks() &&
      membarrier::join())
    mine.plain_name = mine.name;
  return mine.plain_name == mine.name;
}

bool kernel_answers::is_dead(const mapping& map, std::uint32_t record) noexcept {
  answer& last = answers_[record % std::size(answers_)];
  const thread_records::life life(map.record(record));
  if (last.record != record || last.generation != life.generation())
    last = {life.generation(), record, thread_records::is_dead(map.record(record), life)};
  return last.dead;
}

bool is_dead_holder(const mapping& map, std::uint64_t index_plus_1, std::uint64_t generation,
                    std::uint64_t mask, kernel_answers* kernel) noexcept {
  if (index_plus_1 == 0 || index_plus_1 > map.record_count()) return true;
  const auto index = static_cast<std::uint32_t>(index_plus_1 - 1);
  const thread_record& record = map.record(index);
  // before the liveness word, which may be the next life's
  if (generation_of(record, mask) != generation) return true;
  if (!thread_records::is_held_by_its_thread(record)) return true;
  return kernel != nullptr && kernel->is_dead(map, index);
}

}  // namespace outlive::detail
