#include <outlive/robust_mutex.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <string>

#include <outlive/error.hpp>

#include "directory/directory.hpp"
#include "directory/lock_class.hpp"
#include "directory/names.hpp"
#include "error/failure.hpp"
#include "format/lock_state.hpp"
#include "mutex/acquire.hpp"
#include "mutex/attach.hpp"
#include "mutex/failure_text.hpp"
#include "mutex/fast_path.hpp"
#include "mutex/foreign_end.hpp"
#include "mutex/held_list.hpp"
#include "records/thread_slot.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/native_mutex.hpp"

namespace outlive {

using namespace detail;

namespace detail {
struct lock_access {
  static_assert(sizeof(robust_mutex) == sizeof(lock_bytes) &&
                alignof(robust_mutex) == alignof(lock_bytes));
  static_assert(offsetof(robust_mutex, state_) == offsetof(lock_bytes, state));
  static_assert(offsetof(robust_mutex, lock_class_) == offsetof(lock_bytes, lock_class));
  static_assert(offsetof(robust_mutex, magic_) == offsetof(lock_bytes, magic));
};
}  // namespace detail

namespace {

lock_bytes& bytes_of(robust_mutex& mutex) noexcept {
  return reinterpret_cast<lock_bytes&>(mutex);
}
const lock_bytes& bytes_of(const robust_mutex& mutex) noexcept {
  return reinterpret_cast<const lock_bytes&>(mutex);
}

inline attempt try_quickly(lock_bytes& lock, const void* return_address) noexcept {
  const attempt so_far = fast_path::acquire_natively(lock, native_lock_magic, return_address);
  if (so_far != attempt::acquired) [[unlikely]]
    return so_far;
  fast_path::enter(lock);
  return attempt::acquired;
}

// Functions of their own, to keep the fast paths small.

[[gnu::noinline]] bool acquire_slowly(lock_bytes& lock, attempt so_far, const deadline& how_long,
                                      const void* return_address) {
  return acquired_or_throw(lock, acquire(lock, so_far, how_long, return_address));
}

[[gnu::noinline]] bool acquire_slowly(lock_bytes& lock, attempt so_far, const deadline& how_long,
                                      const void* return_address, std::error_code& error) {
  return acquire_with_code(error, [&] { return acquire(lock, so_far, how_long, return_address); });
}

// Without the deadline as an argument, which would cost the fast path of lock() an instruction.
[[gnu::noinline]] void lock_slowly(lock_bytes& lock, attempt so_far, const void* return_address) {
  acquired_or_throw(lock, acquire(lock, so_far, no_limit, return_address));
}

// Always inlined: the return address is that of the public function. It is read again for the slow
// path, so that the fast one need not keep it.

[[gnu::always_inline]] inline bool acquire_throwing(lock_bytes& lock, const deadline& how_long) {
  const attempt so_far = try_quickly(lock, __builtin_return_address(0));
  return so_far == attempt::acquired ||
         acquire_slowly(lock, so_far, how_long, __builtin_return_address(0));
}

[[gnu::always_inline]] inline bool acquire_coded(lock_bytes& lock, const deadline& how_long,
                                                 std::error_code& error) {
  if (error) error.clear();  // clear() is a call, the test is none
  const attempt so_far = try_quickly(lock, __builtin_return_address(0));
  return so_far == attempt::acquired ||
         acquire_slowly(lock, so_far, how_long, __builtin_return_address(0), error);
}

inline bool unlock_quickly(lock_bytes& lock) noexcept {
  return fast_path::release(lock, [] {});
}

[[gnu::noinline]] void unlock_slowly(lock_bytes& lock) {
  if (const std::error_code error = release(lock))
    throw std::system_error(error, failure_text(lock, error));
}

[[gnu::noinline]] void end_guard_slowly(lock_bytes& lock) noexcept {
  if (release(lock) == errc::not_owner) report_foreign_guard(lock);
}

}  // namespace

robust_mutex::robust_mutex(std::string_view lock_class)
    : robust_mutex(lock_class, detail::guarded_type{}) {}

robust_mutex::robust_mutex(std::string_view lock_class, const detail::guarded_type& guards) {
  names::check_class_name(lock_class);
  mapping* map = directory::constructing_at(this);
  std::shared_ptr<mapping> keep;
  if (map == nullptr) {
    keep = mapping_table::find(this);
    map = keep.get();
  }
  if (map == nullptr) {
    fail(errc::not_in_segment, "robust mutex of class \"" + std::string(lock_class) +
                                   "\": found it in ordinary memory, expected it in a segment "
                                   "(segment::find_or_construct)");
  }
  const std::uint32_t index = names::intern_class(*map, lock_class);
  names::bind_class(*map, index, guards);
  auto& bytes = *::new (static_cast<void*>(this)) lock_bytes{};
  native_mutex::init(bytes.native);
  bytes.lock_class = pack_lock_class(index, map->offset_of(this));
  bytes.state.store(free_consistent, std::memory_order_relaxed);
  crash_barrier();  // the whole mutex comes before the magic that says so
  bytes.magic.store(native_lock_magic, std::memory_order_release);
}

robust_mutex::~robust_mutex() {
  lock_bytes& bytes = bytes_of(*this);
  bytes.magic.store(dead_lock_magic, std::memory_order_release);
  // Not valid: a thread that still locks it gets errc::damaged, also on the fast path.
  bytes.state.store(0, std::memory_order_release);
}

void robust_mutex::lock() {
  lock_bytes& bytes = bytes_of(*this);
  const attempt so_far = try_quickly(bytes, __builtin_return_address(0));
  if (so_far != attempt::acquired) [[unlikely]]
    lock_slowly(bytes, so_far, __builtin_return_address(0));
}
void robust_mutex::lock(std::error_code& error) {
  acquire_coded(bytes_of(*this), no_limit, error);
}
bool robust_mutex::try_lock() {
  return acquire_throwing(bytes_of(*this), no_wait);
}
bool robust_mutex::try_lock(std::error_code& error) {
  return acquire_coded(bytes_of(*this), no_wait, error);
}
bool robust_mutex::try_lock_for(const deadline& timeout) {
  return acquire_throwing(bytes_of(*this), timeout);
}
bool robust_mutex::try_lock_for(const deadline& timeout, std::error_code& error) {
  return acquire_coded(bytes_of(*this), timeout, error);
}

void robust_mutex::unlock() {
  lock_bytes& bytes = bytes_of(*this);
  if (!unlock_quickly(bytes)) [[unlikely]]
    unlock_slowly(bytes);
}

void robust_mutex::unlock(std::error_code& error) noexcept {
  lock_bytes& bytes = bytes_of(*this);
  if (error) error.clear();  // clear() is a call, the test is none
  if (!unlock_quickly(bytes)) [[unlikely]]
    error = detail::release(bytes);
}

void robust_mutex::release() noexcept {
  lock_bytes& bytes = bytes_of(*this);
  if (!unlock_quickly(bytes)) [[unlikely]]
    end_guard_slowly(bytes);
}

bool robust_mutex::recovered() const noexcept {
  attachment* const mine = this_thread::attachment_of(this);
  if (mine == nullptr || bytes_of(*this).state.load(std::memory_order_relaxed) != mine->me)
    return false;
  this_thread::deactivate();
  const held_entry* const entry = held_list::find(*mine, mine->map->offset_of(this));
  put_slot_on(*mine);  // the attachment stays, because the thread holds something
  return entry != nullptr && (entry->place.load(std::memory_order_relaxed) & held_recovered) != 0;
}

std::string_view robust_mutex::lock_class() const noexcept {
  const auto map = mapping_table::find(this);
  return map ? lock_class_name(*map, bytes_of(*this)) : "unknown";
}

}  // namespace outlive
