// internal_guard: holds one of the library's own locks. It waits in slices, and between them judges
// the owner as adoption.hpp describes.
#pragma once

#include <cstdint>

#include "mapping/mapping.hpp"
#include "records/entrants.hpp"

namespace outlive::detail {

class internal_guard {
 public:
  // Throws errc::deadlock if the calling thread holds it already, errc::no_robust_list,
  // too_many_participants, errc::damaged if the lock's bytes are not a robust mutex.
  internal_guard(mapping& map, internal_lock& lock, const char* name);
  internal_guard(const internal_guard&) = delete;
  internal_guard& operator=(const internal_guard&) = delete;
  ~internal_guard();

  // A former holder died with it, and the data may be half changed.
  [[nodiscard]] bool owner_died() const noexcept { return owner_died_; }
  // To be called when the data is repaired. Until then owner_died() is true, and the lock stays
  // marked, so that after another death the next holder repairs.
  void mark_consistent() noexcept;

 private:
  internal_lock& lock_;
  std::uint64_t epoch_;
  bool owner_died_ = false;
  entrant named_;
};

}  // namespace outlive::detail
