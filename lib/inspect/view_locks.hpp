// Locks, read by somebody who has no part in them: nothing is stored, and every byte may be damaged
// or changing.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>

#include <outlive/segment_view.hpp>

#include "directory/blocks.hpp"
#include "format/lock_state.hpp"
#include "mapping/mapping.hpp"

namespace outlive::detail {

// The two words of a lock that tell who has it, of one time: the state was the same before and
// after the native word was read.
struct lock_words {
  lock_state state;
  std::uint32_t native = 0;
};
// False: the lock went from hand to hand all the while.
bool read_lock_words(lock_words& into, const lock_bytes& lock) noexcept;

// A block as one look saw it: its numbers do not change while they are used.
struct seen_block {
  std::uint32_t line;
  std::uint32_t lines;
  std::uint64_t size;
  block_state state;
  bool name_is_sound;
  const blocks::name_copy& name;  // empty where it is not sound

  [[nodiscard]] std::uint64_t object_line() const noexcept { return std::uint64_t{line} + 1; }
};
// What walk_blocks() came upon.
struct walk_end {
  bool end_is_sound = true;  // false: where the blocks end is not known, and none was visited
  std::uint32_t end = 0;
  std::uint32_t damaged_lines = 0;  // lines that were passed without a block
  std::uint32_t first_damaged = 0;
};
// Calls visit for each block of the directory. Behind a damaged one it goes on with the next line
// at which a sound one lies.
walk_end walk_blocks(const mapping& map, const std::function<void(const seen_block&)>& visit);

// Threads that one look has found alive: to ask for each mutex that they hold costs a look into
// /proc. That one was dead is asked again each time, for its record may have gone to another thread
// since.
class living_threads {
 public:
  bool is_dead(const mapping& map, std::uint32_t index);

 private:
  std::unordered_map<std::uint32_t, std::uint64_t> alive_;  // record, and its generation
};

// What is to be told of the lock at the offset, but for its object.
viewed_lock view_lock(const mapping& map, std::uint64_t offset, living_threads& living);

}  // namespace outlive::detail
