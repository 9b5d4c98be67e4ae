// Who makes the file of a name: one at a time, so that others need no room for a whole file of
// their own only to find the name taken.
//
// The turn is a lock on the folder, of one byte that stands for the name: there is no file that a
// death could leave behind, and the kernel lets go of it when its holder dies. It only saves room
// and work. That a name appears once and complete is link()'s doing, so whoever cannot have the
// turn (the folder may be locked by anybody who may read it) goes on without it in the end.
//
// The lock belongs to the open folder, which a forked child has, too. So a child lets go of all
// turns at once: otherwise it would keep the turn of a parent that dies.
#pragma once

#include <cstdint>
#include <string>

#include "sys/shared_memory.hpp"

namespace outlive::detail {

class creation_lock {
 public:
  creation_lock(const std::string& folder, std::uint64_t name_hash) noexcept;
  creation_lock(const creation_lock&) = delete;
  creation_lock& operator=(const creation_lock&) = delete;
  ~creation_lock();
  // False: somebody else has the turn, or is about to. Where the folder cannot be locked at all
  // nobody waits: true.
  [[nodiscard]] bool try_acquire() noexcept;
  // Whether it really has the turn. Not where try_acquire() said true because the folder cannot be
  // locked.
  [[nodiscard]] bool is_held() const noexcept { return held_; }

 private:
  friend struct live_creation_locks;

  file_descriptor folder_;
  std::int64_t byte_;
  std::uint64_t epoch_;
  bool held_ = false;
  creation_lock* next_ = nullptr;  // of the live turns
};

}  // namespace outlive::detail
