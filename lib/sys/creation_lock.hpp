// The right to make the file of a name. One process has it at a time; without it, each would
// reserve a whole file only to find the name taken.
//
// It is a lock on one byte of the folder, and the byte stands for the name. A death leaves no file
// behind, since the kernel releases the lock. The lock only saves room and work: link() ensures
// that a name appears once and complete. Anybody who may read the folder can lock it, so a process
// that cannot acquire the lock goes on without it in the end.
//
// The lock belongs to the open folder, which a forked child shares. So a child closes all of them
// at once; otherwise it would keep the lock of a parent that dies.
#pragma once

#include <cstdint>
#include <string>

#include "sys/file_descriptor.hpp"

namespace outlive::detail {

class creation_lock {
 public:
  creation_lock(const std::string& folder, std::uint64_t name_hash) noexcept;
  creation_lock(const creation_lock&) = delete;
  creation_lock& operator=(const creation_lock&) = delete;
  ~creation_lock();
  // Returns: false if another process has the lock or is about to. True if the folder cannot be
  //   locked at all: then nobody waits.
  [[nodiscard]] bool try_acquire() noexcept;
  // Whether the lock is held. It is not if try_acquire() returned true because the folder cannot be
  // locked.
  [[nodiscard]] bool is_held() const noexcept { return held_; }

 private:
  friend struct live_creation_locks;

  file_descriptor folder_;
  std::int64_t byte_;
  std::uint64_t epoch_;
  bool held_ = false;
  creation_lock* next_ = nullptr;  // in live_creation_locks
};

}  // namespace outlive::detail
