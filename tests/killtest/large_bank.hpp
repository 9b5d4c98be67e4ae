// The bank in a segment of 64 MiB: 20 stores, far from the segment's books.
#pragma once

#include <array>
#include <cstddef>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {

inline constexpr std::size_t mebibyte = std::size_t{1} << 20;

inline scenario large_bank(repair_result (*repair)(bank&, const owner_death&)) {
  scenario what = bank_scenario(repair);
  what.name = "a segment of 64 MiB";
  what.options.size = 64 * mebibyte;
  what.make = [](segment& seg) {
    // Not all zeros, and the bank behind it.
    auto& before = seg.find_or_construct<guarded<std::array<unsigned char, 48 * mebibyte>>>(
        "before", "before");
    before.unguarded()[47 * mebibyte] = 1;
    static_cast<void>(seg.find_or_construct<guarded<bank>>("accounts", "account"));
  };
  return what;
}

}  // namespace outlive::killtest::testing
