// Locks, read from outside: nothing is stored, and every byte may be damaged or changing.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>

#include <outlive/segment_view.hpp>

#include "directory/blocks.hpp"
#include "format/lock_state.hpp"
#include "mapping/mapping.hpp"

namespace outlive::detail {

// The two words of a lock that name its holder, of one moment: the state was the same before and
// after the native word was read.
struct lock_words {
  lock_state state;
  std::uint32_t native = 0;
};
// Returns: false if the lock kept changing hands.
bool read_lock_words(lock_words& into, const lock_bytes& lock) noexcept;

// A block as it was read: its numbers do not change while they are used.
struct seen_block {
  std::uint32_t line;
  std::uint32_t lines;
  std::uint64_t size;
  block_state state;
  bool name_is_sound;
  const blocks::name_copy& name;  // empty where it is not sound

  [[nodiscard]] std::uint64_t object_line() const noexcept { return std::uint64_t{line} + 1; }
};
// What walk_blocks() found.
struct walk_end {
  bool end_is_sound = true;  // false: where the blocks end is not known, and none was visited
  std::uint32_t end = 0;
  std::uint32_t damaged_lines = 0;  // lines that were passed without a block
  std::uint32_t first_damaged = 0;
};
// Calls visit for each block of the directory. Behind a damaged one it goes on at the next line
// with a sound one.
walk_end walk_blocks(const mapping& map, const std::function<void(const seen_block&)>& visit);

// Threads that were found alive: to ask again for each mutex that they hold would cost a look into
// /proc. A dead one is checked each time, because another thread may have claimed its record since.
class living_threads {
 public:
  bool is_dead(const mapping& map, std::uint32_t index);

 private:
  std::unordered_map<std::uint32_t, std::uint64_t> alive_;  // record, and its generation
};

// Describes the lock at the offset, without its object.
viewed_lock view_lock(const mapping& map, std::uint64_t offset, living_threads& living);

}  // namespace outlive::detail
