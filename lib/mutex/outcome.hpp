// What came of acquiring a mutex: by the fast path, and by all that follows where it stops.
#pragma once

#include <exception>
#include <system_error>

namespace outlive::detail {

// What the fast path did. One number, because two cost it a register. From 0 on it is what
// pthread_mutex_trylock() returned.
enum class attempt : int {
  acquired = -2,
  not_tried = -1,
  // The native mutex is the caller's, and more is to be done: the state is not {0, consistent}, or
  // readers are inside.
  acquired_natively = 0,
};

struct outcome {
  bool acquired = false;    // the caller has the mutex, or had it and has released it on purpose
  bool repaired = false;    // a repair ran and succeeded
  std::error_code error{};  // why the caller does not have it; none: another thread has it
  std::exception_ptr thrown{};  // what the repair threw

  [[nodiscard]] bool is_busy() const noexcept { return !acquired && !error; }
};

inline outcome refused(std::error_code error) noexcept {
  return {false, false, error, nullptr};
}

}  // namespace outlive::detail
