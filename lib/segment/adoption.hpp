// Adoption: finishing the kernel's work at an orphan, a lock whose owner is dead but which was not marked (hazards A1, A12, A23, A54, A55).
//
// Under the segment's adoption mutex: read the word, find out whose it is, judge, CAS the dead thread id to OWNER_DIED, wake one. Without the
// mutex a second adopter's CAS could hit a lock that a thread with the same, reused id has taken meanwhile (docs/model/adopt.pml).
#pragma once

#include <cstdint>

#include "segment/mapping.hpp"

namespace outlive::detail {

// Adopts the lock if its owner is certainly dead. True: the word has no dead owner any more, so a new attempt is worth it.
// Requires: the calling thread does not hold the lock; then a word with its own thread id is a dead bearer's, too (U6).
bool adopt_if_orphan(mapping& where, lock_bytes& lock) noexcept;

// The same for a liveness mutex, which is walked last and so lost first.
bool adopt_liveness_if_orphan(mapping& where, std::uint32_t index) noexcept;

// Holds one of the library's own locks. It waits in slices, and between them judges the owner as above.
class internal_guard {
 public:
  // Throws errc::deadlock if the calling thread holds it already, errc::no_robust_list, too_many_participants, errc::damaged if the lock's bytes are none of ours.
  internal_guard(mapping& where, internal_lock& lock, const char* name);
  internal_guard(const internal_guard&) = delete;
  internal_guard& operator=(const internal_guard&) = delete;
  ~internal_guard();

  // A former holder died with it; what it guards may be half done.
  [[nodiscard]] bool owner_died() const noexcept { return owner_died_; }
  // What was half done is mended: until then the lock stays marked, and a death makes the next holder mend.
  void mended() noexcept;

 private:
  internal_lock& lock_;
  std::uint64_t epoch_;
  bool owner_died_ = false;
  bool marked_ = false;
};

}  // namespace outlive::detail
