#include "torture/locks.hpp"

#include <linux/futex.h>
#include <pthread.h>

#include <algorithm>

namespace torture {

namespace {

// docs/format.md, "Robust mutex": the native mutex comes first, whatever its size.
constexpr std::size_t state_offset = sizeof(pthread_mutex_t), magic_offset = state_offset + 12;
constexpr std::uint32_t native_lock_magic = 0x6b636f6c;  // "lock"
// Where the C library keeps the futex word in its mutex: glibc first, musl after the mutex's type.
#ifdef __GLIBC__
constexpr std::size_t word_offset = 0;
#else
constexpr std::size_t word_offset = 4;
#endif
static_assert(sizeof(pthread_mutex_t) % 8 == 0 && magic_offset + 4 <= lock_view::size);

template <class T>
T load(const std::byte* at) noexcept {
  return __atomic_load_n(reinterpret_cast<const T*>(at), __ATOMIC_ACQUIRE);
}

}  // namespace

bool lock_view::is_lock() const noexcept {
  return load<std::uint32_t>(bytes_ + magic_offset) == native_lock_magic;
}

std::uint32_t lock_view::owner_tid() const noexcept {
  const auto word = load<std::uint32_t>(bytes_ + word_offset);
  return (word & FUTEX_OWNER_DIED) != 0 ? 0 : word & FUTEX_TID_MASK;
}

bool lock_view::is_marked() const noexcept {
  return (load<std::uint32_t>(bytes_ + word_offset) & FUTEX_OWNER_DIED) != 0;
}

std::uint64_t lock_view::state() const noexcept {
  return load<std::uint64_t>(bytes_ + state_offset);
}

void lock_list::refresh(std::chrono::steady_clock::time_point now) {
  if (now < next_) return;
  locks_.clear();
  segment_.for_each([&](const outlive::segment::object_info& object) {
    const auto* const bytes = static_cast<const std::byte*>(object.address);
    // A robust mutex is aligned to 64 bytes, as objects are.
    for (std::size_t at = 0; at + lock_view::size <= object.size; at += lock_view::size) {
      if (const lock_view lock(bytes + at); lock.is_lock()) locks_.push_back(lock);
    }
  });
  const auto duration = std::chrono::steady_clock::now() - now;
  next_ = now + std::max<std::chrono::steady_clock::duration>(std::chrono::milliseconds(100),
                                                              20 * duration);
}

std::string lock_list::object_of(lock_view lock) const {
  std::string name = "unknown";
  segment_.for_each([&](const outlive::segment::object_info& object) {
    const auto* const bytes = static_cast<const std::byte*>(object.address);
    if (lock.bytes() >= bytes && lock.bytes() < bytes + object.size) name = object.name;
  });
  return name;
}

}  // namespace torture
