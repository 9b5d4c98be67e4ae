// holder: the thread that a word of a permit or of a job names, by its record and the record's
// generation. What such a word needs to know: who the calling thread is, and whether the one that
// it names is dead.
#pragma once

#include <cstdint>

#include <outlive/detail/deadline.hpp>

#include "mapping/mapping.hpp"
#include "records/thread_slot.hpp"

namespace outlive::detail {

// The calling thread's attachment to the segment that the object lies in; claims a record if it has
// none. Requires, and throws what is missing: the object lies in a segment, and no repair is under
// way where the caller waits for others. `what` names the object's kind in messages.
// Returns: nullptr when no record came free in time.
attachment* attach_slowly(const void* object, const char* what, const deadline& how_long);
inline attachment* attach_holder(const void* object, const char* what, const deadline& how_long) {
  // As lock() does: off the segment, in a forked child and in a repair the size is 0 or another's,
  // and all of these go the slow way.
  const thread_slot& slot = current_slot;
  if (static_cast<std::uint64_t>(static_cast<const char*>(object) - slot.base) < slot.wiped->size)
    return slot.current;
  return attach_slowly(object, what, how_long);
}

// The same if it has a record; nullptr in any other thread, and in a forked child.
inline attachment* attached_holder(const void* object) noexcept {
  const thread_slot& slot = current_slot;
  if (static_cast<std::uint64_t>(static_cast<const char*>(object) - slot.base) < slot.wiped->size)
    return slot.current;
  return this_thread::attachment_of(object);
}

inline std::uint64_t generation_of(const thread_record& record, std::uint64_t mask) noexcept {
  return record.generation.load(std::memory_order_acquire) & mask;
}

// What the kernel says about the holders that one look meets. A worker may have thousands of jobs,
// and a question takes a thousand instructions: each holder is asked about once, not once a slot.
class kernel_answers {
 public:
  // Whether the thread of the record is dead, for a thread whose record the kernel did not mark.
  bool is_dead(const mapping& map, std::uint32_t record) noexcept;

 private:
  struct answer {
    std::uint64_t generation = 0;  // no record has this one
    std::uint32_t record = 0;
    bool dead = false;
  };
  answer answers_[32];  // of a record, at its number modulo 32: the last one
};

// Whether the thread that a word names is certainly dead; so is one whose record there is none of.
// `mask`: how much of the generation the word keeps. "Dead" never becomes false again for the same
// name. `kernel`: asked about threads whose records are not marked; nullptr: they count as alive.
bool is_dead_holder(const mapping& map, std::uint64_t index_plus_1, std::uint64_t generation,
                    std::uint64_t mask, kernel_answers* kernel) noexcept;

}  // namespace outlive::detail
