// Bounded waits, and values that processes share.
//
// Nothing in a test waits for ever: a wait has a deadline, and missing it is an error that names
// the waiter and what it waited for. A value in an anonymous shared mapping (shared_value,
// shared_object) is inherited over fork, so that a child can count its repairs and the parent can
// wait for the count without a sleep.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace outlive::testing {

using std::chrono::milliseconds;

/// 10 s, or OUTLIVE_TEST_TIMEOUT_MS (for slow instrumented builds and debuggers).
milliseconds default_timeout();

class timed_out : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A point in steady time.
class deadline {
 public:
  explicit deadline(milliseconds span) : end_(std::chrono::steady_clock::now() + span) {}

  bool passed() const { return std::chrono::steady_clock::now() >= end_; }
  /// Never negative; rounded up, so that poll() does not spin through the last millisecond.
  milliseconds left() const;

 private:
  std::chrono::steady_clock::time_point end_;
};

/// Rests the caller between two checks of a condition that nobody announces: first yields, then up
/// to 1 ms.
class backoff {
 public:
  void rest();

 private:
  unsigned rounds_ = 0;
};

/// Checks `predicate` until it holds (true) or `span` has passed (its last value). For conditions
/// without a wake-up, such as the state letter in /proc; prefer shared_value::wait or a child's
/// tokens.
template <typename Predicate>
bool within(milliseconds span, Predicate predicate) {
  const deadline end(span);
  backoff pause;
  while (!predicate()) {
    if (end.passed()) return static_cast<bool>(predicate());
    pause.rest();
  }
  return true;
}

/// Waits until `word` differs from `seen`, is woken, or `span` has passed; works between processes.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t seen, milliseconds span);
void futex_wake_all(const std::atomic<std::uint32_t>& word);

/// A T in an anonymous shared mapping, the same object for the parent and all children forked
/// later.
template <typename T>
class shared_object {
 public:
  template <typename... Args>
  explicit shared_object(Args&&... args) {
    void* place =
        mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) throw std::bad_alloc();
    object_ = new (place) T(std::forward<Args>(args)...);
  }
  // T's destructor is not run: a process that ends may not be the last that uses the object.
  ~shared_object() { munmap(static_cast<void*>(object_), sizeof(T)); }
  shared_object(const shared_object&) = delete;
  shared_object& operator=(const shared_object&) = delete;

  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  T* get() const { return object_; }

 private:
  T* object_;
};

/// One number (or flag) that processes share, and whose changes can be waited for.
template <typename T>
class shared_value {
  static_assert(std::is_integral_v<T> && std::atomic<T>::is_always_lock_free);

 public:
  explicit shared_value(T initial = T{}) { cell_->value.store(initial); }

  T load() const { return cell_->value.load(); }
  void store(T value) {
    cell_->value.store(value);
    announce();
  }
  T add(T amount = 1) {
    const T before = cell_->value.fetch_add(amount);
    announce();
    return before;
  }

  /// True as soon as `predicate(value)` holds, false if it does not within `span`.
  template <typename Predicate>
  bool wait(Predicate predicate, milliseconds span = default_timeout()) const {
    const deadline end(span);
    for (;;) {
      const std::uint32_t seen = cell_->changes.load();
      if (predicate(load())) return true;
      if (end.passed()) return false;
      // In slices: a writer that is killed between its store and its wake wakes nobody.
      futex_wait(cell_->changes, seen, std::min(end.left(), milliseconds(20)));
    }
  }
  bool wait_equal(T expected, milliseconds span = default_timeout()) const {
    return wait([&](T value) { return value == expected; }, span);
  }
  bool wait_at_least(T expected, milliseconds span = default_timeout()) const {
    return wait([&](T value) { return value >= expected; }, span);
  }

 private:
  struct cell {
    std::atomic<T> value{};
    std::atomic<std::uint32_t> changes{0};
  };
  void announce() {
    cell_->changes.fetch_add(1);
    futex_wake_all(cell_->changes);
  }
  shared_object<cell> cell_;
};

using shared_counter = shared_value<std::uint64_t>;

}  // namespace outlive::testing
