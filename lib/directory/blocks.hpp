// Blocks: the memory of the directory's objects. See directory.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <outlive/shared_type.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail::blocks {

block_header& at(const mapping& map, std::uint32_t line) noexcept;
void* object_of(const block_header& block) noexcept;
block_state state_of(const block_header& block) noexcept;

// A private copy of a block's name.
inline constexpr std::size_t longest_name = 255;
struct name_copy {
  std::size_t length = 0;
  std::uint32_t type_name = 0;
  char bytes[longest_name + 1];

  [[nodiscard]] std::string_view text() const noexcept { return {bytes, length}; }
};

// Whether a block with a sound extent and state is at the line: the part that stays while the
// memory is a block, whatever its name.
bool has_sound_extent(const mapping& map, std::uint32_t line) noexcept;
// Whether a sound block is at the line: every number in it is within bounds and agrees with its
// check.
bool is_sound(const mapping& map, std::uint32_t line) noexcept;
// Whether a live object of exactly this name and type is at the line, the usual result of a
// look-up. What is compared needs no check.
bool is_object(const mapping& map, std::uint32_t line, std::string_view name,
               const object_type& type) noexcept;
// Whether the block has this name. It may be removed and renamed meanwhile.
bool has_name(const block_header& block, std::string_view name) noexcept;
// The name of a live block, without the directory mutex: the block may be removed and renamed
// meanwhile.
// Requires: has_sound_extent().
// Returns: false if it is not live. Throws errc::damaged if it stays live, and its name does not
//   fit its check.
bool load_live_name(const mapping& map, std::uint32_t line, name_copy& into);
// Requires: is_sound(), and the directory mutex or another reason that the block stays.
std::string_view name_in(const block_header& block) noexcept;

// Lines in use from the start of the objects. Throws errc::damaged.
std::uint32_t end_of(const mapping& map);

// Calls visit(line, block) for each block. Requires: the directory mutex. Throws errc::damaged at
// the first that is not sound.
template <class Visit>
void for_each(const mapping& map, Visit visit);
// Calls visit(line, block, name_copy) for each live block, without the mutex. Throws errc::damaged
// at the first that is not sound.
template <class Visit>
void for_each_live(const mapping& map, Visit visit);
[[noreturn]] void fail_damaged(const mapping& map, std::uint32_t line);

// Allocates a block for an object, in state "constructing": a freed one of the same type, or new
// memory.
// Requires: the directory mutex.
// Returns: its line; nothing if a list of freed blocks was damaged: then the directory must be
//   counted again.
// Throws errc::no_space.
std::optional<std::uint32_t> allocate(mapping& map, std::string_view name, const object_type& type,
                                      std::uint32_t type_name);

template <class Visit>
void for_each(const mapping& map, Visit visit) {
  const std::uint32_t end = end_of(map);
  for (std::uint32_t line = 0; line < end;) {
    if (!is_sound(map, line)) fail_damaged(map, line);
    block_header& block = at(map, line);
    visit(line, block);
    line += block.lines;
  }
}

template <class Visit>
void for_each_live(const mapping& map, Visit visit) {
  const std::uint32_t end = end_of(map);
  name_copy name;
  for (std::uint32_t line = 0; line < end;) {
    if (!has_sound_extent(map, line)) fail_damaged(map, line);
    const block_header& block = at(map, line);
    const std::uint32_t next = line + block.lines;
    if (load_live_name(map, line, name)) visit(line, block, name);
    line = next;
  }
}

}  // namespace outlive::detail::blocks
