// What tests of robust mutexes in one process share: owners that are threads, and may die.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include <outlive/guarded.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

#include "unit/segment_fixture.hpp"

namespace outlive::testing {

/// Runs `act` on another thread, to its end.
inline void elsewhere(const std::function<void()>& act) {
  std::thread other(act);
  other.join();
}

/// A thread that ends inside the mutex: as far as the mutex goes, its owner died.
inline void die_holding(robust_mutex& mutex) {
  elsewhere([&] { mutex.lock(); });
}

/// The code of lock(error); gives the mutex back if it was had.
inline std::error_code lock_code(robust_mutex& mutex) {
  std::error_code error;
  mutex.lock(error);
  if (!error) mutex.unlock();
  return error;
}

/// Another thread that holds the mutex until told.
class holder {
 public:
  explicit holder(robust_mutex& mutex)
      : thread_([this, &mutex] {
          mutex.lock();
          step_.store(1);
          step_.wait_equal(2);
          mutex.unlock();
        }) {
    EXPECT_TRUE(step_.wait_equal(1));
  }
  ~holder() { let_go(); }
  void let_go() {
    if (!thread_.joinable()) return;
    step_.store(2);
    thread_.join();
  }

 private:
  shared_value<int> step_;
  std::thread thread_;
};

}  // namespace outlive::testing
