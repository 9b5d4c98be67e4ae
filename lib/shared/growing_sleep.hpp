// growing_sleep: sleeps on a word, short ones first, for a thread that may have missed its wake-up.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <outlive/detail/deadline.hpp>

#include "format/object_layout.hpp"
#include "sys/futex.hpp"

namespace outlive::detail {

class growing_sleep {
 public:
  constexpr explicit growing_sleep(std::chrono::nanoseconds first) noexcept : span_(first) {}

  // Sleeps while `word` is `seen`, for `left` at most. The next sleep may be twice as long, up to a
  // slice, if nothing happened in this one. A thread that was woken has seen that wake-ups reach
  // it: doubled by those, too, eight readers that leave one after the other would make the sleep
  // for the ninth a slice long.
  // Returns: whether the whole time went by.
  bool on(const shared_u32& word, std::uint32_t seen, std::chrono::nanoseconds left) noexcept {
    const bool whole = futex_wait(word, seen, std::min(span_, left));
    if (whole) span_ = std::min<std::chrono::nanoseconds>(span_ * 2, deadline::slice);
    return whole;
  }

  [[nodiscard]] std::chrono::nanoseconds next() const noexcept { return span_; }

 private:
  std::chrono::nanoseconds span_;
};

}  // namespace outlive::detail
