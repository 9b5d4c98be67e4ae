// internal_guard: holds one of the library's own locks. It waits in slices, and between them judges
// the owner as adoption.hpp says.
#pragma once

#include <cstdint>

#include "mapping/mapping.hpp"
#include "records/entrants.hpp"

namespace outlive::detail {

class internal_guard {
 public:
  // Throws errc::deadlock if the calling thread holds it already, errc::no_robust_list,
  // too_many_participants, errc::damaged if the lock's bytes are none of ours.
  internal_guard(mapping& map, internal_lock& lock, const char* name);
  internal_guard(const internal_guard&) = delete;
  internal_guard& operator=(const internal_guard&) = delete;
  ~internal_guard();

  // A former holder died with it; what it guards may be half done.
  [[nodiscard]] bool owner_died() const noexcept { return owner_died_; }
  // What was half done is mended: until then the lock stays marked, and a death makes the next
  // holder mend.
  void mark_consistent() noexcept;

 private:
  internal_lock& lock_;
  std::uint64_t epoch_;
  bool owner_died_ = false;
  bool marked_ = false;
  entrant named_;
};

}  // namespace outlive::detail
