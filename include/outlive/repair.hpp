// Repairs make the data consistent again after an owner died in the middle of a change.
//
// A repair belongs to one process, since a function cannot live in shared memory: each process that
// acquires the lock registers its own, before it acquires the lock. It is looked up only after a
// death: first by the mutex, then by its lock class.
//
// Contract of a repair:
//   - It runs in the heir's thread, which holds the mutex, inside lock(), try_lock() or recover().
//   - It must accept data that is already consistent: an owner may have died after its last change.
//   - It must be restartable: the heir can die in it after any store, and the next heir starts it
//     again from there.
//   - It may call try_lock() of other robust mutexes, and whatever else the program needs. lock()
//     fails with errc::in_repair, and unlock() of the mutex under repair with errc::not_owner.
//   - The repair of a lock class may run in several threads at once, for different mutexes.
//   - It returns repaired or failed. An exception counts as failed, and is nested in the error that
//     lock() throws.
//   - pthread_exit or cancellation in it ends the thread like an owner's death: the next heir
//     repairs.
//   - After a fork in it, the child gets errc::forked_in_repair from the lock() to which the repair
//     returns. The repair is the parent's.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <outlive/detail/export.hpp>
#include <outlive/owner_death.hpp>

namespace outlive {

class robust_mutex;
class segment;
template <class T, class Mutex>
class guarded;

enum class repair_result : bool { failed = false, repaired = true };
using enum repair_result;

using repair_callback = std::function<repair_result(const owner_death&)>;

// "There is nothing to repair": for data that is consistent after every single store. Write the
// name in full, so that a reader of the program finds where that claim is made.
struct always_consistent_t {
  repair_result operator()(const owner_death&) const noexcept { return repaired; }
  template <class T>
  repair_result operator()(T&, const owner_death&) const noexcept {
    return repaired;
  }
};
inline constexpr always_consistent_t always_consistent{};

namespace detail {
struct guarded_type;
struct registered_repair;
}  // namespace detail

// Keeps a repair registered while it lives. Movable; an empty one keeps nothing.
class [[nodiscard]] repair_registration {
 public:
  repair_registration() noexcept = default;
  OUTLIVE_API repair_registration(repair_registration&& other) noexcept;
  OUTLIVE_API repair_registration& operator=(repair_registration&& other) noexcept;
  // Removes the repair and destroys the callback.
  // Blocks: until no other thread of this process runs it. This holds inside the repair itself,
  //   too: that of a lock class may wait for its runs in other threads. It does not wait for its
  //   own run; then the callback is destroyed as soon as it has returned, still as a part of the
  //   repair.
  OUTLIVE_API ~repair_registration();

  // As the destructor, at once.
  OUTLIVE_API void reset() noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return repair_ != nullptr; }

  explicit repair_registration(std::shared_ptr<detail::registered_repair> repair) noexcept
      : repair_(std::move(repair)) {}

 private:
  std::shared_ptr<detail::registered_repair> repair_;
};

// Registers the repair of one mutex. It has precedence over that of the mutex's lock class. The
// registration keeps the segment mapped.
// Errors: errc::already_registered, errc::not_in_segment, errc::damaged,
//   std::errc::invalid_argument for an empty function.
// After fork: the child has the same registrations.
OUTLIVE_API repair_registration on_owner_death(const robust_mutex& mutex, repair_callback callback);

// Registers the repair of all mutexes of a lock class, existing and future ones.
// Errors: errc::already_registered, errc::invalid_name, errc::no_space (class table full),
//   errc::damaged, errc::no_robust_list, std::errc::invalid_argument for an empty function.
OUTLIVE_API repair_registration on_owner_death(const segment& seg, std::string_view lock_class,
                                               repair_callback callback);

// Returns: the lock classes of the segment that this process has repairs for, in the order in which
//   the segment got to know them: for messages and logs. Repairs of single mutexes are not among
//   them.
[[nodiscard]] OUTLIVE_API std::vector<std::string> classes_with_repair(const segment& seg);

namespace detail {
template <class T, class Mutex = robust_mutex>
[[nodiscard]] guarded_type guarded_type_of() noexcept;  // in guarded.hpp
// The typed form without T: the library checks that the class guards a T, and passes the value's
// address.
OUTLIVE_API repair_registration
on_guarded_owner_death(const segment& seg, std::string_view lock_class, const guarded_type& type,
                       std::function<repair_result(void*, const owner_death&)> callback);
}  // namespace detail

// Registers the repair of all guarded<T, Mutex> of a lock class: callback(T& value, const
// owner_death&).
// Errors: as above, and errc::type_mismatch if the class guards another type.
template <class T, class Mutex = robust_mutex, class Callback>
repair_registration on_owner_death(const segment& seg, std::string_view lock_class,
                                   Callback callback) {
  static_assert(std::is_invocable_r_v<repair_result, Callback&, T&, const owner_death&>,
                "the repair is called as repair_result(T&, const owner_death&)");
  static_assert(sizeof(guarded<T, Mutex>) > 0, "include <outlive/guarded.hpp>");
  return detail::on_guarded_owner_death(
      seg, lock_class, detail::guarded_type_of<T, Mutex>(),
      [callback = std::move(callback)](void* value, const owner_death& death) mutable {
        return callback(*static_cast<T*>(value), death);
      });
}

}  // namespace outlive
