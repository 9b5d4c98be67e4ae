// The fast paths of robust_shared_mutex: a reader that finds the gate open, a writer that finds
// neither owner nor reader.
#include <outlive/robust_shared_mutex.hpp>

#include <cstddef>
#include <string>

#include <outlive/error.hpp>

#include "directory/directory.hpp"
#include "mutex/acquire.hpp"
#include "mutex/failure_text.hpp"
#include "mutex/fast_path.hpp"
#include "mutex/foreign_end.hpp"
#include "records/marks.hpp"
#include "shared/drain.hpp"
#include "shared/shared_acquire.hpp"
#include "shared/waiting_readers.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive {

using namespace detail;

namespace detail {
struct shared_lock_access {
  static_assert(sizeof(robust_shared_mutex) == sizeof(shared_lock_bytes) &&
                alignof(robust_shared_mutex) == alignof(shared_lock_bytes));
  static_assert(offsetof(robust_shared_mutex, gate_) == offsetof(shared_lock_bytes, gate));
  static_assert(offsetof(robust_shared_mutex, waiting_readers_) ==
                offsetof(shared_lock_bytes, waiting_readers));
};
}  // namespace detail

namespace {

shared_lock_bytes& bytes_of(robust_shared_mutex& mutex) noexcept {
  return reinterpret_cast<shared_lock_bytes&>(mutex);
}

// ---- readers -----------------------------------------------------------------------------------

// The calling thread's slot for a mark of this mutex, and the value there while it holds the mutex
// shared.
struct own_mark {
  shared_u32* at = nullptr;
  std::uint32_t id = 0;
};

// Returns: false if the slow path must look. It does not check that the bytes are a mutex.
[[gnu::always_inline]] inline bool find_mark(const shared_lock_bytes& lock,
                                             own_mark& found) noexcept {
  const thread_slot& slot = current_slot;
  const wiped_slot& wiped = *slot.wiped;
  const auto offset = static_cast<std::uint64_t>(reinterpret_cast<const char*>(&lock) - slot.base);
  if (offset >= wiped.marks_size) [[unlikely]]
    return false;
  found.id = mark_id(offset);
  found.at = &wiped.marks->at[found.id % mark_slots];
  return true;
}

// The slow path starts again, and no thread waits while marked.
void step_back(shared_lock_bytes& lock, shared_u32* tried) noexcept {
  if (tried == nullptr) return;
  tried->exchange(0, std::memory_order_seq_cst);
  if (lock.gate.load(std::memory_order_seq_cst) == gate_awaited) wake_drainer(lock);
}

// Returns: false if the slow path must go on. If `tried` is set, a mark is there, and the gate was
// found closed behind it.
[[gnu::always_inline]] inline bool try_shared_quickly(shared_lock_bytes& lock,
                                                      shared_u32*& tried) noexcept {
  own_mark mark;
  if (!find_mark(lock, mark) ||
      lock.writers.magic.load(std::memory_order_relaxed) != shared_lock_magic) [[unlikely]]
    return false;
  if (mark.at->load(std::memory_order_relaxed) != 0) [[unlikely]]
    return false;
  // The mark comes before the look at the gate, as the writer's gate comes before its look at the
  // marks.
  if (current_slot.wiped->plain_marks) [[likely]] {
    // [[likely]]: this case is free of a taken branch, which would cost as much as the store
    mark.at->store(mark.id, std::memory_order_release);
    crash_barrier();  // the writer's membarrier turns it into a full fence
  } else {
    mark.at->exchange(mark.id, std::memory_order_seq_cst);
  }
  if (lock.gate.load(std::memory_order_seq_cst) == gate_open) [[likely]] {
    raise_own(current_slot.record->acquisitions);  // for supervisors, as in fast_path::enter()
    return true;
  }
  tried = mark.at;
  return false;
}

[[gnu::always_inline]] inline bool release_shared_quickly(shared_lock_bytes& lock) noexcept {
  own_mark mark;
  if (!find_mark(lock, mark) || mark.at->load(std::memory_order_relaxed) != mark.id) [[unlikely]]
    return false;
  mark.at->store(0, std::memory_order_release);
  crash_barrier();  // the mark is gone before the look at the gate
  if (lock.gate.load(std::memory_order_relaxed) == gate_awaited) [[unlikely]]
    wake_drainer(lock);
  return true;
}

// ---- writers -----------------------------------------------------------------------------------

inline attempt try_quickly(shared_lock_bytes& lock, const void* return_address) noexcept {
  own_mark mark;
  // A thread that may not mark yet has no marks. One that has some in this slot looks in the slow
  // path whether it holds this mutex.
  if (find_mark(lock, mark) && mark.at->load(std::memory_order_relaxed) != 0) [[unlikely]]
    return attempt::not_tried;
  // Where readers wait, the slow path lets them go first.
  const attempt so_far = fast_path::acquire_natively(
      lock.writers, shared_lock_magic, return_address, [&] { return !has_waiting_readers(lock); });
  if (so_far != attempt::acquired) [[unlikely]]
    return so_far;
  if (!drain_quickly(*current_slot.current->map, lock)) [[unlikely]]
    return attempt::acquired_natively;
  fast_path::enter(lock.writers);
  return attempt::acquired;
}

inline bool release_quickly(shared_lock_bytes& lock) noexcept {
  return fast_path::release(lock.writers, [&] { open_gate(lock); });
}

// ---- errors ------------------------------------------------------------------------------------

void check_release(const shared_lock_bytes& lock, std::error_code error) {
  if (error) throw std::system_error(error, failure_text(lock.writers, error));
}

[[gnu::noinline]] void unlock_slowly(shared_lock_bytes& lock) {
  check_release(lock, release_unique(lock));
}

[[gnu::noinline]] void unlock_shared_slowly(shared_lock_bytes& lock) {
  check_release(lock, detail::release_shared(lock));
}

[[gnu::noinline]] void end_guard_slowly(shared_lock_bytes& lock) noexcept {
  if (release_unique(lock) == errc::not_owner) report_foreign_guard(lock.writers);
}

[[gnu::noinline]] void end_shared_guard_slowly(shared_lock_bytes& lock) noexcept {
  if (detail::release_shared(lock) == errc::not_owner) report_foreign_shared_guard(lock);
}

// The slow paths are functions of their own, so that the fast ones need no stack: saving registers
// would cost them as much as all the rest.

[[gnu::noinline]] bool acquire_slowly(shared_lock_bytes& lock, attempt so_far,
                                      const deadline& how_long, const void* return_address) {
  return acquired_or_throw(lock.writers, acquire_unique(lock, so_far, how_long, return_address));
}

[[gnu::noinline]] bool acquire_slowly(shared_lock_bytes& lock, attempt so_far,
                                      const deadline& how_long, const void* return_address,
                                      std::error_code& error) {
  return acquire_with_code(error,
                           [&] { return acquire_unique(lock, so_far, how_long, return_address); });
}

inline bool acquire_throwing(shared_lock_bytes& lock, const deadline& how_long,
                             const void* return_address) {
  const attempt so_far = try_quickly(lock, return_address);
  return so_far == attempt::acquired || acquire_slowly(lock, so_far, how_long, return_address);
}

inline bool acquire_coded(shared_lock_bytes& lock, const deadline& how_long,
                          const void* return_address, std::error_code& error) {
  if (error) error.clear();  // clear() is a call, the test is none
  const attempt so_far = try_quickly(lock, return_address);
  return so_far == attempt::acquired ||
         acquire_slowly(lock, so_far, how_long, return_address, error);
}

[[gnu::noinline]] bool acquire_shared_slowly(shared_lock_bytes& lock, const deadline& how_long,
                                             const void* return_address, shared_u32* tried) {
  step_back(lock, tried);
  return acquired_or_throw(lock.writers, acquire_shared(lock, how_long, return_address));
}

[[gnu::noinline]] bool acquire_shared_slowly(shared_lock_bytes& lock, const deadline& how_long,
                                             const void* return_address, shared_u32* tried,
                                             std::error_code& error) {
  step_back(lock, tried);
  return acquire_with_code(error, [&] { return acquire_shared(lock, how_long, return_address); });
}

[[gnu::always_inline]] inline bool acquire_shared_throwing(shared_lock_bytes& lock,
                                                           const deadline& how_long,
                                                           const void* return_address) {
  shared_u32* tried = nullptr;
  return try_shared_quickly(lock, tried) ||
         acquire_shared_slowly(lock, how_long, return_address, tried);
}

[[gnu::always_inline]] inline bool acquire_shared_coded(shared_lock_bytes& lock,
                                                        const deadline& how_long,
                                                        const void* return_address,
                                                        std::error_code& error) {
  if (error) error.clear();  // clear() is a call, the test is none
  shared_u32* tried = nullptr;
  return try_shared_quickly(lock, tried) ||
         acquire_shared_slowly(lock, how_long, return_address, tried, error);
}

}  // namespace

robust_shared_mutex::robust_shared_mutex(std::string_view lock_class)
    : robust_shared_mutex(lock_class, detail::guarded_type{}) {}

robust_shared_mutex::robust_shared_mutex(std::string_view lock_class,
                                         const detail::guarded_type& guards)
    : writers_(lock_class, guards) {
  const auto map = require_in_segment(this, "robust shared mutex");
  shared_lock_bytes& bytes = bytes_of(*this);
  const std::uint64_t offset = map->offset_of(this);
  if (offset / cache_line >= mark_spilled) {
    throw std::system_error(std::make_error_code(std::errc::value_too_large),
                            map->describe() + ", robust shared mutex: found it at offset " +
                                std::to_string(offset) + ", expected one below 128 GiB");
  }
  gate_.store(gate_open, std::memory_order_relaxed);
  waiting_readers_.store(0, std::memory_order_relaxed);
  crash_barrier();  // the open gate comes before the magic that says there is one
  bytes.writers.magic.store(shared_lock_magic, std::memory_order_release);
}

robust_shared_mutex::~robust_shared_mutex() {
  // a thread that still uses it gets errc::damaged: writers_ ends after this
  gate_.store(0, std::memory_order_relaxed);
}

void robust_shared_mutex::lock() {
  acquire_throwing(bytes_of(*this), no_limit, __builtin_return_address(0));
}
void robust_shared_mutex::lock(std::error_code& error) {
  acquire_coded(bytes_of(*this), no_limit, __builtin_return_address(0), error);
}
bool robust_shared_mutex::try_lock() {
  return acquire_throwing(bytes_of(*this), no_wait, __builtin_return_address(0));
}
bool robust_shared_mutex::try_lock(std::error_code& error) {
  return acquire_coded(bytes_of(*this), no_wait, __builtin_return_address(0), error);
}
bool robust_shared_mutex::try_lock_for(const deadline& timeout) {
  return acquire_throwing(bytes_of(*this), timeout, __builtin_return_address(0));
}
bool robust_shared_mutex::try_lock_for(const deadline& timeout, std::error_code& error) {
  return acquire_coded(bytes_of(*this), timeout, __builtin_return_address(0), error);
}

void robust_shared_mutex::unlock() {
  shared_lock_bytes& bytes = bytes_of(*this);
  if (!release_quickly(bytes)) [[unlikely]]
    unlock_slowly(bytes);
}
void robust_shared_mutex::unlock(std::error_code& error) noexcept {
  if (error) error.clear();  // clear() is a call, the test is none
  shared_lock_bytes& bytes = bytes_of(*this);
  if (!release_quickly(bytes)) [[unlikely]]
    error = release_unique(bytes);
}
void robust_shared_mutex::release() noexcept {
  shared_lock_bytes& bytes = bytes_of(*this);
  if (!release_quickly(bytes)) [[unlikely]]
    end_guard_slowly(bytes);
}

void robust_shared_mutex::downgrade() {
  shared_lock_bytes& bytes = bytes_of(*this);
  check_release(bytes, detail::downgrade(bytes));
}
void robust_shared_mutex::downgrade(std::error_code& error) noexcept {
  error = detail::downgrade(bytes_of(*this));
}

void robust_shared_mutex::lock_shared() {
  acquire_shared_throwing(bytes_of(*this), no_limit, __builtin_return_address(0));
}
void robust_shared_mutex::lock_shared(std::error_code& error) {
  acquire_shared_coded(bytes_of(*this), no_limit, __builtin_return_address(0), error);
}
bool robust_shared_mutex::try_lock_shared() {
  return acquire_shared_throwing(bytes_of(*this), no_wait, __builtin_return_address(0));
}
bool robust_shared_mutex::try_lock_shared(std::error_code& error) {
  return acquire_shared_coded(bytes_of(*this), no_wait, __builtin_return_address(0), error);
}
bool robust_shared_mutex::try_lock_shared_for(const deadline& timeout) {
  return acquire_shared_throwing(bytes_of(*this), timeout, __builtin_return_address(0));
}
bool robust_shared_mutex::try_lock_shared_for(const deadline& timeout, std::error_code& error) {
  return acquire_shared_coded(bytes_of(*this), timeout, __builtin_return_address(0), error);
}

void robust_shared_mutex::unlock_shared() {
  shared_lock_bytes& bytes = bytes_of(*this);
  if (!release_shared_quickly(bytes)) [[unlikely]]
    unlock_shared_slowly(bytes);
}
void robust_shared_mutex::unlock_shared(std::error_code& error) noexcept {
  if (error) error.clear();  // clear() is a call, the test is none
  shared_lock_bytes& bytes = bytes_of(*this);
  if (!release_shared_quickly(bytes)) [[unlikely]]
    error = detail::release_shared(bytes);
}
void robust_shared_mutex::release_shared() noexcept {
  shared_lock_bytes& bytes = bytes_of(*this);
  if (!release_shared_quickly(bytes)) [[unlikely]]
    end_shared_guard_slowly(bytes);
}

}  // namespace outlive
