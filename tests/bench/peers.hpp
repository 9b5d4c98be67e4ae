// The locks that outlive is compared with, each as a loop of lock and unlock.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <stdexcept>
#include <string>

namespace outlive::testing {

inline void require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(std::string("benchmark: ") + what);
}

// Zeroed memory that children of fork share, in cells of one cache line; it lasts as long as the
// process.
[[nodiscard]] void* shared_cells(std::size_t bytes);

enum class raw_kind { robust, robust_errorcheck, normal };
void init_raw_mutex(pthread_mutex_t* mutex, raw_kind kind);
// In a cache line of its own.
[[nodiscard]] pthread_mutex_t* make_raw_mutex(raw_kind kind);

struct raw_pairs {
  pthread_mutex_t* mutex;
  void operator()(std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) {
      ::pthread_mutex_lock(mutex);
      ::pthread_mutex_unlock(mutex);
    }
  }
};

// File locks are taken on an unnamed file in /dev/shm.
class flock_pairs {
 public:
  flock_pairs();
  void operator()(std::size_t count) const;

 private:
  int fd_;
};

class ofd_pairs {
 public:
  ofd_pairs();
  void operator()(std::size_t count) const;

 private:
  int fd_;
};

// A System V semaphore with SEM_UNDO; removed when the process ends.
class sem_undo_pairs {
 public:
  sem_undo_pairs();
  void operator()(std::size_t count) const;

 private:
  int id_;
};

}  // namespace outlive::testing
