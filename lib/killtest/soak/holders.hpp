// holders: which processes hold a lock, and which died with one, read from the segment.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>
#include <tuple>

#include <outlive/segment.hpp>

#include "format/layout.hpp"

namespace outlive::killtest::detail {

// Whether a thread of the process is inside a robust mutex now. Acquires no lock. The answer may be
// out of date when it arrives.
class holders {
 public:
  explicit holders(const segment& seg);
  [[nodiscard]] bool is_inside(pid_t pid) const noexcept;

 private:
  [[nodiscard]] bool has_lock(std::uint64_t record) const noexcept;

  const char* base_;
  outlive::detail::region_layout at_;
  std::uint32_t held_places_;
};

// Counts the deaths in the death log. The log keeps 256 deaths, so read() must come before more are
// added.
class death_counter {
 public:
  explicit death_counter(const segment& seg) : seg_(seg) {}
  void read();
  // Threads that died with a lock.
  [[nodiscard]] std::uint64_t owners() const noexcept { return owners_.size(); }
  [[nodiscard]] std::uint64_t repairs() const noexcept { return repairs_; }

 private:
  const segment& seg_;
  std::set<std::tuple<pid_t, pid_t, std::uint64_t>> owners_;
  std::set<std::uint64_t> repaired_;  // their numbers, as far as the log may still hold them
  std::uint64_t repairs_ = 0;
};

}  // namespace outlive::killtest::detail
