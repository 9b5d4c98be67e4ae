// guarded<T>: a robust mutex and the T that it protects, in one object. The main way to use outlive.
//
//   struct bank { long a = 500, b = 500; };                       // invariant: a + b == 1000
//   auto  seg    = outlive::segment::open_or_create("bank");
//   auto  repair = outlive::on_owner_death<bank>(seg, "account", [](bank& x, const outlive::owner_death&) {
//     x.b = 1000 - x.a;
//     return outlive::repaired;
//   });
//   auto& accounts = seg.find_or_construct<outlive::guarded<bank>>("accounts", "account");
//   { auto x = accounts.lock(); x->a -= 1; x->b += 1; }
//
// T lives in shared memory and is read by processes that have it mapped elsewhere: no pointers, no references, no virtual
// functions, no std::string, nothing that owns memory of one process.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <outlive/export.hpp>
#include <outlive/repair.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

namespace outlive {

template <class T>
class guarded {
  static_assert(!std::is_reference_v<T> && !std::is_pointer_v<T>, "a pointer means nothing to another process");
  static_assert(!std::is_polymorphic_v<T>, "a virtual function table lies elsewhere in another process");
  static_assert(alignof(T) <= 64, "objects of a segment are aligned to 64 bytes");

 public:
  // The hold on the mutex, and the way to the value. Movable; gives the mutex back when it ends. It belongs to the
  // thread that made it.
  class [[nodiscard]] guard {
   public:
    guard() noexcept = default;
    guard(guard&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    guard& operator=(guard&& other) {
      if (this != &other) {
        release();
        owner_ = std::exchange(other.owner_, nullptr);
      }
      return *this;
    }
    ~guard() { release(); }

    // Requires: the guard holds (explicit operator bool).
    T* operator->() const noexcept { return std::addressof(owner_->value_); }
    T& operator*() const noexcept { return owner_->value_; }

    // Returns: whether the guard holds the mutex: false after a try_lock that failed, after unlock(), after a move.
    explicit operator bool() const noexcept { return owner_ != nullptr; }
    // Returns: whether this acquisition found a dead owner and repaired the value.
    [[nodiscard]] bool recovered() const noexcept { return owner_ != nullptr && owner_->mutex_.recovered(); }
    // Gives the mutex back before the guard ends. Errors: errc::not_owner.
    void unlock() {
      if (guarded* owner = std::exchange(owner_, nullptr)) owner->mutex_.unlock();
    }

   private:
    friend class guarded;
    explicit guard(guarded* owner) noexcept : owner_(owner) {}
    // In a forked child, or another thread, the mutex is not ours: then there is nothing to give back.
    void release() noexcept {
      if (guarded* owner = std::exchange(owner_, nullptr)) owner->mutex_.release();
    }
    guarded* owner_ = nullptr;
  };

  // Makes the mutex, of the lock class given, and T(args...).
  // Errors: as robust_mutex's constructor, and errc::type_mismatch when the class guards another type.
  template <class... Args>
  explicit guarded(std::string_view lock_class, Args&&... args)
      : mutex_(lock_class, detail::guarded_type_of<T>()),
        value_(detail::make<T>(std::forward<Args>(args)...)) {}

  guarded(const guarded&) = delete;
  guarded& operator=(const guarded&) = delete;

  // All of these are inlined even without optimisation, so that the report of a death names the function that called them.

  // Acquires the mutex, after a repair if one is due. Errors and blocking: as robust_mutex::lock().
  [[gnu::always_inline]] guard lock() {
    mutex_.lock();
    return guard(this);
  }
  // Returns: a guard that holds, or one that does not, with the reason in `error`.
  [[gnu::always_inline]] guard lock(std::error_code& error) {
    mutex_.lock(error);
    return error ? guard() : guard(this);
  }
  // Returns: a guard that holds, or one that does not because somebody else holds the mutex.
  [[gnu::always_inline]] guard try_lock() { return mutex_.try_lock() ? guard(this) : guard(); }
  [[gnu::always_inline]] guard try_lock(std::error_code& error) { return mutex_.try_lock(error) ? guard(this) : guard(); }
  template <class Rep, class Period>
  [[gnu::always_inline]] guard try_lock_for(const std::chrono::duration<Rep, Period>& timeout) {
    return mutex_.try_lock_for(timeout) ? guard(this) : guard();
  }
  template <class Rep, class Period>
  [[gnu::always_inline]] guard try_lock_for(const std::chrono::duration<Rep, Period>& timeout, std::error_code& error) {
    return mutex_.try_lock_for(timeout, error) ? guard(this) : guard();
  }
  template <class Clock, class Duration>
  [[gnu::always_inline]] guard try_lock_until(const std::chrono::time_point<Clock, Duration>& deadline) {
    return mutex_.try_lock_until(deadline) ? guard(this) : guard();
  }
  template <class Clock, class Duration>
  [[gnu::always_inline]] guard try_lock_until(const std::chrono::time_point<Clock, Duration>& deadline, std::error_code& error) {
    return mutex_.try_lock_until(deadline, error) ? guard(this) : guard();
  }

  // The mutex alone, for std::scoped_lock over several; then unguarded() is the way to the value.
  [[nodiscard]] robust_mutex& mutex() noexcept { return mutex_; }
  [[nodiscard]] const robust_mutex& mutex() const noexcept { return mutex_; }
  // Requires: the calling thread holds mutex(), or nobody else can have the object yet.
  [[nodiscard]] T& unguarded() noexcept { return value_; }
  [[nodiscard]] const T& unguarded() const noexcept { return value_; }

  // Where the value lies in the object; part of the lock class's entry in the segment.
  [[nodiscard]] static constexpr std::size_t value_offset() noexcept {
    return (sizeof(robust_mutex) + alignof(T) - 1) / alignof(T) * alignof(T);
  }

 private:
  robust_mutex mutex_;
  T value_;
};

namespace detail {
template <class T>
guarded_type guarded_type_of() noexcept {
  const object_type type = object_type_of<T>();
  return {type.name, type.hash, guarded<T>::value_offset()};
}
}  // namespace detail

}  // namespace outlive
