// holder: the thread that the word of a permit or of a job names, by its record and the record's
// generation. Here is what such words need: the attachment of the calling thread, and whether the
// named thread is dead.
#pragma once

#include <cstdint>

#include <outlive/detail/deadline.hpp>

#include "mapping/mapping.hpp"
#include "records/thread_slot.hpp"

namespace outlive::detail {

// Returns: the calling thread's attachment if the segment of the object is the one that it used
//   last; otherwise nullptr. As in lock(): outside the segment, in a forked child and in a repair
//   the range test fails.
inline attachment* quickly_attached(const void* object) noexcept {
  const thread_slot& slot = current_slot;
  const auto offset = static_cast<std::uint64_t>(static_cast<const char*>(object) - slot.base);
  return offset < slot.wiped->size ? slot.current : nullptr;
}

// Returns: the calling thread's attachment to the segment of the object, with a record that it
//   claims if it has none; nullptr if no record came free in time.
// Errors: errc::not_in_segment; errc::in_repair if the caller waits and is in a repair; those of
//   attach(). `what` names the kind of the object in messages.
attachment* attach_caller_slowly(const void* object, const char* what, const deadline& how_long);
inline attachment* attach_caller(const void* object, const char* what, const deadline& how_long) {
  attachment* const mine = quickly_attached(object);
  return mine != nullptr ? mine : attach_caller_slowly(object, what, how_long);
}

// Returns: the same if the thread has a record; nullptr in any other thread, and in a forked child.
inline attachment* attached_caller(const void* object) noexcept {
  attachment* const mine = quickly_attached(object);
  return mine != nullptr ? mine : this_thread::attachment_of(object);
}

// Whether the thread may end a hold by a plain store, where an exchange would be the full fence
// between that and the look for sleepers: these call membarrier between their mark and their last
// look. False in a segment without plain marks, and if this process may not register for it.
bool ask_for_plain_stores(attachment& mine) noexcept;
inline bool may_store_plainly(attachment& mine) noexcept {
  return mine.plain_name == mine.name || ask_for_plain_stores(mine);
}

inline std::uint64_t generation_of(const thread_record& record, std::uint64_t mask) noexcept {
  return record.generation.load(std::memory_order_acquire) & mask;
}

// What the kernel says about the holders that one look finds. A worker may have thousands of jobs,
// and a question costs a thousand instructions. So the kernel is asked once about each holder, not
// once for each slot.
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

// Whether the thread that a word names is certainly dead. That is also true if the record does not
// exist. `mask`: the bits of the generation that the word keeps. Once true, it stays true for the
// same name. `kernel`: asked about threads that the kernel did not mark; nullptr: they count as
// alive.
bool is_dead_holder(const mapping& map, std::uint64_t index_plus_1, std::uint64_t generation,
                    std::uint64_t mask, kernel_answers* kernel) noexcept;

}  // namespace outlive::detail
