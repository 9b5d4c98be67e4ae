#include "directory/blocks.hpp"

#include <cstring>
#include <string>

#include "directory/free_lists.hpp"
#include "error/failure.hpp"
#include "format/hash.hpp"
#include "format/shared_copy.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail::blocks {

namespace {

// In 64 bits: in 32, a type of 2^38 bytes would have 0 lines, and fit into any segment.
std::uint64_t lines_of(std::uint64_t bytes) noexcept {
  return (bytes + cache_line - 1) / cache_line;
}

std::uint64_t object_lines(std::uint64_t size) noexcept {
  return lines_of(size == 0 ? 1 : size);
}

std::uint64_t name_lines(std::size_t length) noexcept {
  return length <= inline_name_bytes ? 0 : lines_of(length);
}

char* long_name_in(const block_header& block) noexcept {
  return static_cast<char*>(object_of(block)) + object_lines(block.size) * cache_line;
}

std::uint32_t fold(std::uint64_t hash) noexcept {
  return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

std::uint32_t check_of(const block_header& block) noexcept {
  return fold(mix(mix(block.type, block.size), block.lines));
}

std::uint32_t name_check_of(std::uint32_t type_name, std::string_view name) noexcept {
  return fold(hash_bytes(name.data(), name.size(), std::uint64_t{type_name} << 16 | name.size()));
}

// Fields of names and links are accessed atomically: look-ups and checks take no lock, and the name
// of a block that is removed may change while they read it.
template <class T>
T peek(const T& field) noexcept {
  return __atomic_load_n(&field, __ATOMIC_RELAXED);
}
template <class T>
void poke(T& field, T value) noexcept {
  __atomic_store_n(&field, value, __ATOMIC_RELAXED);
}

std::uint64_t with_complement(std::uint32_t value) noexcept {
  return std::uint64_t{~value} << 32 | value;
}

// A short name as in a block, padded with zeros: compared as two words, without a call.
struct inline_name {
  std::uint64_t words[2];
};
static_assert(sizeof(inline_name) == inline_name_bytes);

inline_name padded(std::string_view name) noexcept {
  const char* const at = name.data();
  const std::size_t size = name.size();
  inline_name result{};
  if (size >= 8) std::memcpy(&result.words[0], at, 8);
  if (size == 16) {
    std::memcpy(&result.words[1], at + 8, 8);
  } else if (size % 8 != 0) {
    result.words[size / 8] = load_tail(at + size / 8 * 8, size % 8);
  }
  return result;
}

// The extent of a block, written once, when its memory becomes a block.
void write_extent(block_header& block, std::uint64_t type, std::uint64_t size,
                  std::uint32_t lines) noexcept {
  block.magic = block_magic;
  block.type = type;
  block.size = size;
  block.lines = lines;
  block.check = check_of(block);
}

// Requires: the block is freed, or no block yet, so that nobody trusts the name while it is torn.
void write_name(block_header& block, std::string_view name, std::uint32_t type_name) noexcept {
  // Release: "freed" is visible before the first byte of another name. Pairs with load_live_name().
  std::atomic_thread_fence(std::memory_order_release);
  poke(block.next_freed, 0U);
  poke(block.type_name, type_name);
  poke(block.name_length, static_cast<std::uint16_t>(name.size()));
  poke(block.reserved, std::uint16_t{0});
  const bool is_short = name.size() <= inline_name_bytes;
  const inline_name in_block = is_short ? padded(name) : inline_name{};
  store_shared_text(block.name, reinterpret_cast<const char*>(&in_block), sizeof in_block);
  if (!is_short) store_shared_text(long_name_in(block), name.data(), name.size());
  poke(block.name_check, name_check_of(type_name, name));
}

void load_name(name_copy& into, const block_header& block, std::size_t length) noexcept {
  into.length = length;
  load_shared_text(into.bytes, length <= inline_name_bytes ? block.name : long_name_in(block),
                   length);
}

// Returns: whether the copy is the block's name, whatever was written meanwhile. Requires: a sound
//   extent.
bool load_name_if_sound(name_copy& into, const block_header& block) noexcept {
  const std::size_t length = peek(block.name_length);
  if (length > longest_name || 1 + object_lines(block.size) + name_lines(length) > block.lines)
    return false;
  load_name(into, block, length);
  into.type_name = peek(block.type_name);
  return peek(block.name_check) == name_check_of(into.type_name, into.text());
}

}  // namespace

block_header& at(const mapping& map, std::uint32_t line) noexcept {
  return *reinterpret_cast<block_header*>(map.object_line(line));
}

void* object_of(const block_header& block) noexcept {
  return const_cast<char*>(reinterpret_cast<const char*>(&block)) + cache_line;
}

block_state state_of(const block_header& block) noexcept {
  return static_cast<block_state>(block.state.load(std::memory_order_acquire));
}

bool has_sound_extent(const mapping& map, std::uint32_t line) noexcept {
  const std::uint64_t room = map.layout().object_lines;
  if (line >= room) return false;
  const block_header& block = at(map, line);
  if (block.magic != block_magic || block.lines == 0 || block.lines > room - line) return false;
  if (block.size > room * cache_line || block.check != check_of(block) ||
      1 + object_lines(block.size) > block.lines)
    return false;
  switch (state_of(block)) {
    case block_state::freed:
    case block_state::constructing:
    case block_state::live:
    case block_state::destroying: return true;
  }
  return false;
}

bool is_sound(const mapping& map, std::uint32_t line) noexcept {
  if (!has_sound_extent(map, line)) return false;
  const block_header& block = at(map, line);
  name_copy name;
  return state_of(block) == block_state::freed || load_name_if_sound(name, block);
}

bool load_live_name(const mapping& map, std::uint32_t line, name_copy& into) {
  const block_header& block = at(map, line);
  // A try also fails if the block was removed and made live again with another name during it. That
  // does not happen so many times in a row.
  for (int tries = 0; tries < 16; ++tries) {
    if (state_of(block) != block_state::live) return false;
    const bool sound = load_name_if_sound(into, block);
    // Pairs with write_name(): a thread that read a byte of a later name sees a later state.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (state_of(block) != block_state::live) return false;
    if (sound) return true;
  }
  fail_damaged(map, line);
}

bool is_object(const mapping& map, std::uint32_t line, std::string_view name,
               const object_type& type) noexcept {
  const std::uint64_t room = map.layout().object_lines;
  const std::uint64_t lines = 1 + object_lines(type.size) + name_lines(name.size());
  if (line >= room || lines > room - line) return false;
  const block_header& block = at(map, line);
  if (state_of(block) != block_state::live || block.magic != block_magic ||
      block.type != type.hash || block.size != type.size ||
      peek(block.name_length) != name.size()) {
    return false;
  }
  if (name.size() > inline_name_bytes) return has_name(block, name);
  const inline_name wanted = padded(name);
  inline_name found;
  load_shared_text(reinterpret_cast<char*>(&found), block.name, sizeof found);
  return wanted.words[0] == found.words[0] && wanted.words[1] == found.words[1];
}

bool has_name(const block_header& block, std::string_view name) noexcept {
  if (name.size() > longest_name || peek(block.name_length) != name.size()) return false;
  name_copy found;
  load_name(found, block, name.size());
  return found.text() == name;
}

std::string_view name_in(const block_header& block) noexcept {
  return {block.name_length <= inline_name_bytes ? block.name : long_name_in(block),
          block.name_length};
}

std::uint32_t end_of(const mapping& map) {
  const std::uint64_t stored = map.header().directory_counts.end.load(std::memory_order_acquire);
  const auto end = static_cast<std::uint32_t>(stored);
  if (stored != with_complement(end) || end > map.layout().object_lines) {
    fail(errc::damaged,
         map.describe() + ": found " + std::to_string(stored) +
             " as the end of its objects, expected a number and its complement, at most " +
             std::to_string(map.layout().object_lines));
  }
  return end;
}

void fail_damaged(const mapping& map, std::uint32_t line) {
  fail(errc::damaged, map.describe() + ": found no sound block at line " + std::to_string(line) +
                          " of its objects, expected one");
}

std::optional<std::uint32_t> allocate(mapping& map, std::string_view name, const object_type& type,
                                      std::uint32_t type_name) {
  const std::uint64_t lines = 1 + object_lines(type.size) + name_lines(name.size());
  const popped_block found = pop_freed(map, type.hash, type.size, lines);
  if (found.damaged) return std::nullopt;
  if (found.line_plus_1 != 0) {
    const std::uint32_t line = found.line_plus_1 - 1;
    block_header& block = at(map, line);
    write_name(block, name, type_name);
    crash_barrier();  // a complete name before the state that makes it count
    block.state.store(static_cast<std::uint32_t>(block_state::constructing),
                      std::memory_order_release);
    return line;
  }
  const std::uint32_t end = end_of(map);
  if (lines > map.layout().object_lines - end) {
    fail(errc::no_space, map.describe() + ", object \"" + std::string(name) + "\": found " +
                             std::to_string((map.layout().object_lines - end) * cache_line) +
                             " bytes left, expected " + std::to_string(lines * cache_line) +
                             " (segment_options::size)");
  }
  block_header& block = at(map, end);
  block.state.store(static_cast<std::uint32_t>(block_state::constructing),
                    std::memory_order_release);
  write_extent(block, type.hash, type.size, static_cast<std::uint32_t>(lines));
  write_name(block, name, type_name);
  crash_barrier();  // a complete block before the end that includes it
  map.header().directory_counts.end.store(with_complement(end + static_cast<std::uint32_t>(lines)),
                                          std::memory_order_release);
  return end;
}

}  // namespace outlive::detail::blocks
