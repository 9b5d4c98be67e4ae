// guarded<T>: a robust mutex and the T that it protects, in one object. Most programs use outlive
// through it.
//
//   struct bank { long a = 500, b = 500; };  // invariant: a + b == 1000
//   auto seg = outlive::segment::open_or_create("bank");
//   auto repair = outlive::on_owner_death<bank>(
//       seg, "account", [](bank& x, const outlive::owner_death&) {
//         x.b = 1000 - x.a;
//         return outlive::repaired;
//       });
//   auto& accounts = seg.find_or_construct<outlive::guarded<bank>>("accounts", "account");
//   { auto x = accounts.lock(); x->a -= 1; x->b += 1; }
//
// With outlive::robust_shared_mutex as the second argument several threads can read at a time:
// lock_shared() returns a guard to a const T.
//
// T lives in shared memory, and other processes map it at other addresses. It must have no
// pointers, references, virtual functions or std::string, and nothing else that owns memory of one
// process.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <outlive/detail/deadline.hpp>
#include <outlive/detail/export.hpp>
#include <outlive/error.hpp>
#include <outlive/repair.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/robust_shared_mutex.hpp>
#include <outlive/segment.hpp>
#include <outlive/shared_type.hpp>

namespace outlive {

namespace detail {
// Not inline, so that programs can be compiled with -fno-exceptions.
[[noreturn]] OUTLIVE_API void throw_guard_without_object();
[[noreturn]] OUTLIVE_API void throw_guard_holds();
}  // namespace detail

template <class T, class Mutex = robust_mutex>
class guarded {
  static_assert(std::is_same_v<Mutex, robust_mutex> || std::is_same_v<Mutex, robust_shared_mutex>,
                "the mutex is one that repairs");
  static_assert(shareable<T>,
                "T owns or points to memory of one process: no pointers, strings, vectors, virtual "
                "functions (<outlive/shared_type.hpp>)");
  static_assert(alignof(T) <= 64, "objects of a segment are aligned to 64 bytes");
  static constexpr bool is_shared = std::is_same_v<Mutex, robust_shared_mutex>;

 public:
  // Holds the mutex and gives access to the value: alone, or shared and then as const. Movable;
  // releases the mutex when it ends. It belongs to the thread that made it, and must end there
  // (<outlive/misuse.hpp>).
  // After fork: the child's copy holds nothing. But it does not know that it is a copy: if it ends
  // in a thread of the child that has acquired the mutex itself, that hold ends.
  template <bool Shared>
  class [[nodiscard]] basic_guard {
   public:
    using value = std::conditional_t<Shared, const T, T>;

    basic_guard() noexcept = default;
    basic_guard(basic_guard&& other) noexcept
        : object_(std::exchange(other.object_, nullptr)),
          holds_(std::exchange(other.holds_, false)) {}
    basic_guard& operator=(basic_guard&& other) {
      if (this != &other) {
        release();
        object_ = std::exchange(other.object_, nullptr);
        holds_ = std::exchange(other.holds_, false);
      }
      return *this;
    }
    ~basic_guard() { release(); }

    // Requires: the guard holds the mutex (explicit operator bool).
    value* operator->() const noexcept { return std::addressof(object_->value_); }
    value& operator*() const noexcept { return object_->value_; }

    // Returns: whether the guard holds the mutex: false after a try_lock() that failed, after
    //   unlock(), and after a move.
    explicit operator bool() const noexcept { return holds_; }
    // Returns: whether this acquisition found a dead owner and repaired the value.
    [[nodiscard]] bool recovered() const noexcept requires(!Shared) {
      return holds_ && object_->mutex_.recovered();
    }
    // Releases the mutex before the guard ends. Errors: errc::not_owner.
    void unlock() {
      if (!std::exchange(holds_, false)) return;
      if constexpr (Shared)
        object_->mutex_.unlock_shared();
      else
        object_->mutex_.unlock();
    }
    // Makes this hold a shared one, in one step: no other writer comes in between. This guard is
    // empty then. Errors: as robust_shared_mutex::downgrade(), then it holds as before.
    [[nodiscard]] basic_guard<true> downgrade() requires(!Shared && is_shared) {
      if (!holds_) detail::throw_guard_without_object();
      object_->mutex_.downgrade();
      holds_ = false;
      return basic_guard<true>(object_, true);
    }
    // Acquires the mutex again, after unlock() or a try_lock() that failed.
    // Errors: as lock() or lock_shared() of the mutex, then the guard holds nothing; errc::deadlock
    //   if it holds the mutex; errc::not_owner if it belongs to no object (default constructed, or
    //   moved from).
    [[gnu::always_inline]] void lock() {
      if (object_ == nullptr) detail::throw_guard_without_object();
      if constexpr (Shared) {
        if (holds_) detail::throw_guard_holds();
        object_->mutex_.lock_shared();
      } else {
        object_->mutex_.lock();
      }
      holds_ = true;
    }

   private:
    friend class guarded;
    template <bool>
    friend class basic_guard;
    basic_guard(guarded* object, bool holds) noexcept : object_(object), holds_(holds) {}
    // Releases nothing in a forked child or in another thread, which do not own the mutex. The
    // latter is reported (<outlive/misuse.hpp>).
    void release() noexcept {
      if (!std::exchange(holds_, false)) return;
      if constexpr (Shared)
        object_->mutex_.release_shared();
      else
        object_->mutex_.release();
    }
    guarded* object_ = nullptr;
    bool holds_ = false;
  };
  using guard = basic_guard<false>;
  using shared_guard = basic_guard<true>;  // only with a robust_shared_mutex

  // Constructs the mutex with the given lock class, and T(args...).
  // Errors: as robust_mutex's constructor, and errc::type_mismatch if the class guards another
  //   type.
  template <class... Args>
  explicit guarded(std::string_view lock_class, Args&&... args)
      : mutex_(lock_class, detail::guarded_type_of<T, Mutex>()),
        value_(detail::make<T>(std::forward<Args>(args)...)) {}

  guarded(const guarded&) = delete;
  guarded& operator=(const guarded&) = delete;

  // All of these are inlined even without optimisation, so that the report of a death names their
  // caller.

  // Acquires the mutex, and runs a repair first if one is due. Errors and blocking: as
  // robust_mutex::lock().
  [[gnu::always_inline]] guard lock() {
    mutex_.lock();
    return guard(this, true);
  }
  // Returns: a guard that holds the mutex; or one that does not, with the reason in `error`.
  [[gnu::always_inline]] guard lock(std::error_code& error) {
    mutex_.lock(error);
    return guard(this, !error);
  }
  // Returns: a guard that holds the mutex; or one that does not, because another thread holds it.
  [[gnu::always_inline]] guard try_lock() { return guard(this, mutex_.try_lock()); }
  [[gnu::always_inline]] guard try_lock(std::error_code& error) {
    return guard(this, mutex_.try_lock(error));
  }
  [[gnu::always_inline]] guard try_lock_for(const detail::deadline& timeout) {
    return guard(this, mutex_.try_lock_for(timeout));
  }
  [[gnu::always_inline]] guard try_lock_for(const detail::deadline& timeout,
                                            std::error_code& error) {
    return guard(this, mutex_.try_lock_for(timeout, error));
  }
  [[gnu::always_inline]] guard try_lock_until(const detail::deadline& deadline) {
    return try_lock_for(deadline);
  }
  [[gnu::always_inline]] guard try_lock_until(const detail::deadline& deadline,
                                              std::error_code& error) {
    return try_lock_for(deadline, error);
  }

  // As lock() and try_lock_for(), until stop is requested. Return: a guard, which does not hold the
  // mutex if stop was requested while another thread held it (robust_mutex::lock(stop)).
  [[gnu::always_inline]] guard lock(const std::stop_token& stop) {
    return guard(this, mutex_.lock(stop));
  }
  [[gnu::always_inline]] guard try_lock_for(const detail::deadline& timeout,
                                            const std::stop_token& stop) {
    return guard(this, mutex_.try_lock_for(timeout, stop));
  }

  // The same, shared: several threads can read at a time. Only with a robust_shared_mutex. Errors
  // and blocking: as robust_shared_mutex::lock_shared().
  [[gnu::always_inline]] shared_guard lock_shared() requires is_shared {
    mutex_.lock_shared();
    return shared_guard(this, true);
  }
  [[gnu::always_inline]] shared_guard lock_shared(std::error_code& error) requires is_shared {
    mutex_.lock_shared(error);
    return shared_guard(this, !error);
  }
  [[gnu::always_inline]] shared_guard try_lock_shared() requires is_shared {
    return shared_guard(this, mutex_.try_lock_shared());
  }
  [[gnu::always_inline]] shared_guard try_lock_shared(std::error_code& error) requires is_shared {
    return shared_guard(this, mutex_.try_lock_shared(error));
  }
  [[gnu::always_inline]] shared_guard try_lock_shared_for(
      const detail::deadline& timeout) requires is_shared {
    return shared_guard(this, mutex_.try_lock_shared_for(timeout));
  }
  [[gnu::always_inline]] shared_guard lock_shared(const std::stop_token& stop) requires is_shared {
    return shared_guard(this, mutex_.lock_shared(stop));
  }
  [[gnu::always_inline]] shared_guard try_lock_shared_for(
      const detail::deadline& timeout, const std::stop_token& stop) requires is_shared {
    return shared_guard(this, mutex_.try_lock_shared_for(timeout, stop));
  }
  [[gnu::always_inline]] shared_guard try_lock_shared_until(
      const detail::deadline& deadline) requires is_shared {
    return try_lock_shared_for(deadline);
  }

  // The mutex alone, for std::scoped_lock together with other mutexes. Then access the value by
  // unguarded(). For several guarded values, <outlive/lock.hpp> has lock(), which returns guards.
  [[nodiscard]] Mutex& mutex() noexcept { return mutex_; }
  [[nodiscard]] const Mutex& mutex() const noexcept { return mutex_; }
  // Requires: the calling thread holds mutex(), or no other thread can reach the object yet.
  [[nodiscard]] T& unguarded() noexcept { return value_; }
  [[nodiscard]] const T& unguarded() const noexcept { return value_; }

  // Offset of the value in the object; part of the lock class's entry in the segment.
  [[nodiscard]] static constexpr std::size_t value_offset() noexcept {
    return (sizeof(Mutex) + alignof(T) - 1) / alignof(T) * alignof(T);
  }

 private:
  Mutex mutex_;
  T value_;
};

template <class T, class Mutex>
inline constexpr bool shareable<guarded<T, Mutex>> = shareable<T>;

namespace detail {
template <class T, class Mutex>
struct wrapped<guarded<T, Mutex>> {
  using type = T;
  static constexpr auto guarded_at = static_cast<std::uint32_t>(guarded<T, Mutex>::value_offset());
};
template <class T, class Mutex>
guarded_type guarded_type_of() noexcept {
  const object_type type = object_type_of<T>();
  return {type.name,      type.hash,           type.size,
          type.alignment, type.value->version, wrapped<guarded<T, Mutex>>::guarded_at};
}
}  // namespace detail

}  // namespace outlive
