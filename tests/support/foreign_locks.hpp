// Foreign code: another library in the same thread that holds robust mutexes of its own.
//
// The kernel marks only the 2,048 most recently acquired robust mutexes of a dying thread (A1).
// Locks that were acquired before a full set of foreign_locks are therefore lost with their owner.
// The set is made before fork, so that the parent can count the marked ones.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>

namespace outlive::testing {

class foreign_locks {
 public:
  explicit foreign_locks(std::size_t count = 2100);
  /// Does not unmap while the calling process holds any: glibc's list runs through the mapping.
  ~foreign_locks();
  foreign_locks(const foreign_locks&) = delete;
  foreign_locks& operator=(const foreign_locks&) = delete;

  std::size_t size() const { return count_; }
  pthread_mutex_t& operator[](std::size_t index) { return mutexes_[index]; }

  /// By the calling thread, in order: the last becomes the newest entry of its robust list.
  void lock_all();
  void unlock_all();

  /// How many the kernel has marked FUTEX_OWNER_DIED, and how many still name an owner.
  std::size_t marked() const;
  std::size_t owned() const;

 private:
  std::uint32_t word(std::size_t index) const;
  std::size_t bytes() const { return count_ * sizeof(pthread_mutex_t); }

  std::size_t count_;
  pthread_mutex_t* mutexes_;
  bool held_ = false;
};

/// A native robust process-shared mutex at `place`; throws if pthread refuses.
void init_robust(pthread_mutex_t* place);
/// Its futex word.
std::uint32_t futex_word(const pthread_mutex_t& mutex);

}  // namespace outlive::testing
