// Lists of freed blocks, one for the types of each remainder. See blocks.hpp.
//
// Blocks of one type, size and number of lines are a kind. A list links the first blocks of its
// kinds, and each of those the rest of its kind. So the cost of a list operation depends on the
// number of kinds, not of freed blocks.
#pragma once

#include <cstdint>

#include "mapping/mapping.hpp"

namespace outlive::detail::blocks {

// All of these require the directory mutex. A list that is found damaged is dropped, and the
// directory marked to be counted again.

struct popped_block {
  std::uint32_t line_plus_1 = 0;  // 0: there is none
  bool damaged = false;           // or it is not known whether there is one
};

// Removes a freed block of that type and size from its list: one with as many lines, or with the
// fewest above that.
popped_block pop_freed(mapping& map, std::uint64_t type, std::uint64_t size,
                       std::uint64_t lines) noexcept;

// Lists a block that is in no slot. Requires: state "freed".
void list_freed(mapping& map, std::uint32_t line) noexcept;

}  // namespace outlive::detail::blocks
