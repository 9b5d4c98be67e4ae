// The robust mutexes of a segment, only read: their owners and conditions.
//
// The library has no call for that: the owner may have released the mutex before the answer is
// read. Here only stopped processes are asked about, for which the answer stays true. It is in the
// mutex's bytes, which docs/format.md describes; segment::open() has compared the format's version.
// Reading takes no lock and stores nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <outlive/segment.hpp>

namespace torture {

// One mutex in our mapping, which lasts while the segment is open.
class lock_view {
 public:
  enum class condition : unsigned {
    not_recoverable = 0,
    consistent = 1,
    unrepaired = 2,
    repairing = 3
  };

  explicit lock_view(const std::byte* bytes) noexcept : bytes_(bytes) {}

  // Returns: whether there is a robust mutex there; a destroyed one is none.
  [[nodiscard]] bool is_lock() const noexcept;
  // Returns: the thread that owns it, dead or alive; 0 if it is free, or the kernel has marked it.
  [[nodiscard]] std::uint32_t owner_tid() const noexcept;
  [[nodiscard]] bool is_marked() const noexcept;  // by the kernel, as a dead owner's
  [[nodiscard]] std::uint64_t state() const noexcept;
  [[nodiscard]] const std::byte* bytes() const noexcept { return bytes_; }

  static constexpr std::size_t size = 64;
  static condition condition_of(std::uint64_t state) noexcept {
    return static_cast<condition>(state & 3);
  }
  static unsigned attempts_of(std::uint64_t state) noexcept {
    return static_cast<unsigned>(state >> 2 & 63);
  }

 private:
  const std::byte* bytes_;
};

// All mutexes of a segment: those that are objects, and those anywhere inside objects.
class lock_list {
 public:
  explicit lock_list(const outlive::segment& segment) : segment_(segment) {}

  // Searches again if the last search was long ago: objects come and go. A large segment takes
  // longer, and is searched less often.
  void refresh(std::chrono::steady_clock::time_point now);
  [[nodiscard]] const std::vector<lock_view>& all() const noexcept { return locks_; }
  // Returns: the name of the object that the mutex lies in, for messages.
  [[nodiscard]] std::string object_of(lock_view lock) const;

 private:
  const outlive::segment& segment_;
  std::vector<lock_view> locks_;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace torture
