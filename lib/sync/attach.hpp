// A thread's first use of a segment: it claims a thread record, and recovers what the dead hold if there is none left.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "segment/thread_slot.hpp"

namespace outlive::detail {

// The calling thread's attachment to the segment; claims a record if it has none. The slot is off afterwards.
// Throws errc::no_robust_list, too_many_threads, too_many_participants, wrong_pid_namespace.
attachment& attach_this_thread(const std::shared_ptr<mapping>& where);

// The same, with a spare record if there is no other: for recovery, which must work when all others belong to dead threads (U3). To be put
// into a spare_scope.
attachment& attach_for_recovery(const std::shared_ptr<mapping>& where);

// Gives the record back at its end if it is a spare one in which nothing is in hand. An ordinary record stays the thread's.
class spare_scope {
 public:
  explicit spare_scope(attachment& mine) noexcept;
  spare_scope(const spare_scope&) = delete;
  spare_scope& operator=(const spare_scope&) = delete;
  ~spare_scope();

  [[nodiscard]] attachment& mine() const noexcept { return *mine_; }
  void give_back() noexcept;
  // Lets the thread go on with it.
  attachment& keep() noexcept { return *std::exchange(mine_, nullptr); }

 private:
  attachment* mine_;
  std::uint64_t epoch_;
};

}  // namespace outlive::detail
