// Lists of freed blocks, one for the types of each remainder. See blocks.hpp.
//
// Blocks of one type, size and number of lines are a kind. A list goes from kind to kind by the
// first block of each, and within a kind from block to block. So what it costs to take or to list a
// block depends on how many kinds there are, not on how many blocks were freed.
#pragma once

#include <cstdint>

#include "mapping/mapping.hpp"

namespace outlive::detail::blocks {

// All of it requires the directory mutex. A list that turns out to be damaged is dropped, and the
// directory marked as one that must be counted again.

struct popped_block {
  std::uint32_t line_plus_1 = 0;  // 0: there is none
  bool damaged = false;           // or nobody knows whether there is one
};

// Takes a freed block of that type and size with as many lines, or with the fewest above that.
popped_block pop_freed(mapping& map, std::uint64_t type, std::uint64_t size,
                       std::uint64_t lines) noexcept;

// Puts a block that is in no slot on its list. Requires: state "freed".
void list_freed(mapping& map, std::uint32_t line) noexcept;

}  // namespace outlive::detail::blocks
