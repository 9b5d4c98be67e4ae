// A thread's first use of a segment: it claims a thread record. If none is free, it recovers what
// dead threads hold.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include <outlive/detail/deadline.hpp>

#include "records/thread_slot.hpp"

namespace outlive::detail {

// The thread records that a caller may claim.
enum class claimable {
  ordinary,
  // Also those that are kept for recovery, which must work when all others belong to dead threads
  // (U3). A spare_scope has to own such an attachment.
  spare_too,
};

// Returns: the calling thread's attachment to the segment, with a record that it claims if it has
//   none; nullptr if no ordinary one came free in time. The slot is off then.
// Blocks: where all ordinary records belong to dead threads, it recovers those one after the other,
//   and waits for other threads that do so. With claimable::spare_too it waits for a spare one.
// Throws errc::too_many_threads if none would come free, or no spare one came free in time;
// no_robust_list, too_many_participants, wrong_pid_namespace.
attachment* attach(const std::shared_ptr<mapping>& map, const deadline& how_long,
                   claimable which = claimable::ordinary);

// Whether the record is one of those that are kept for recovery.
bool is_spare(const attachment& mine) noexcept;

// The fast path works on this segment from now on, unless the thread is in a repair. A thread with
// a spare record never gets the fast path. So each of its unlocks comes here, where an idle record
// is released. `mine` may be gone afterwards, unless the thread holds something.
void put_slot_on(attachment& mine) noexcept;

// Releases a spare record if the thread holds nothing. Every operation that releases something ends
// with this or with put_slot_on(). `mine` may be gone afterwards.
void end_spare_use(attachment& mine) noexcept;

// Releases the record at its end if it is a spare one and the thread holds nothing. An ordinary
// record stays with the thread.
class spare_scope {
 public:
  explicit spare_scope(attachment& mine) noexcept;
  // Attaches the calling thread for recovery. Waits for a spare record for 2 s.
  explicit spare_scope(const std::shared_ptr<mapping>& map);
  spare_scope(const spare_scope&) = delete;
  spare_scope& operator=(const spare_scope&) = delete;
  ~spare_scope();

  [[nodiscard]] attachment& mine() const noexcept { return *mine_; }
  void release() noexcept;
  // Lets the thread keep it.
  attachment& keep() noexcept { return *std::exchange(mine_, nullptr); }

 private:
  attachment* mine_;
  std::uint64_t epoch_;
};

}  // namespace outlive::detail
