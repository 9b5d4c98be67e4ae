#include "directory/index.hpp"

#include <algorithm>
#include <atomic>
#include <string>

#include "directory/blocks.hpp"
#include "error/failure.hpp"
#include "format/hash.hpp"

namespace outlive::detail::index {

namespace {

constexpr unsigned tag_shift = 40;
constexpr std::uint64_t nowhere = ~std::uint64_t{0};

// Exclusive or of the eight bytes.
constexpr std::uint64_t fold_bytes(std::uint64_t word) noexcept {
  word ^= word >> 32;
  word ^= word >> 16;
  return (word ^ word >> 8) & 0xff;
}
static_assert(fold_bytes(slot_empty) == 0 && fold_bytes(slot_removed) == 0);

constexpr std::uint64_t tag_of(std::uint64_t hash) noexcept {
  return hash >> tag_shift;
}

constexpr std::uint64_t pack(std::uint64_t hash, std::uint32_t line) noexcept {
  const std::uint64_t unchecked = tag_of(hash) << tag_shift | (line + 1);
  return unchecked | fold_bytes(unchecked) << 32;
}

constexpr std::uint32_t line_in(std::uint64_t slot) noexcept {
  return static_cast<std::uint32_t>(slot) - 1;
}

std::uint64_t first_slot(const mapping& map, std::uint64_t hash) noexcept {
  return hash & (map.layout().index_slots - 1) & ~(slots_in_bucket - 1);
}

// Whether the slot leads to a block: it is neither empty nor removed.
bool is_used(const mapping& map, std::uint64_t at, std::uint64_t slot) {
  if (slot == slot_empty || slot == slot_removed) return false;
  if (fold_bytes(slot) == 0 && static_cast<std::uint32_t>(slot) != 0) return true;
  fail(errc::damaged,
       map.describe() + ": found slot " + std::to_string(at) +
           " of its directory with a check that does not fit, expected an entry or an empty slot");
}

// Visits the slots that may have the name, until visit returns false or an empty slot ends the run.
template <class Visit>
void probe(const mapping& map, std::uint64_t hash, Visit visit) {
  const std::uint64_t mask = map.layout().index_slots - 1;
  std::uint64_t at = first_slot(map, hash);
  for (std::uint64_t steps = 0; steps <= mask; ++steps, at = (at + 1) & mask) {
    const std::uint64_t slot = map.index()[at].load(std::memory_order_acquire);
    if (!visit(at, slot) || slot == slot_empty) return;
  }
}

// The slot that leads from the name to the block, or nowhere.
std::uint64_t slot_of(const mapping& map, std::uint64_t hash, std::uint32_t line) {
  std::uint64_t found = nowhere;
  probe(map, hash, [&, wanted = pack(hash, line)](std::uint64_t at, std::uint64_t slot) {
    if (is_used(map, at, slot) && slot == wanted) found = at;
    return found == nowhere;
  });
  return found;
}

[[noreturn]] void fail_full(const mapping& map) {
  fail(errc::damaged,
       map.describe() + ": found no free slot in its directory, expected half of them free");
}

// The number of slots before `at` that look-ups of its name pass, from the name's bucket on.
// Nothing if its block does not show the name.
std::optional<std::uint64_t> passed_before(const mapping& map, std::uint64_t at,
                                           std::uint64_t slot) noexcept {
  const std::uint32_t line = line_in(slot);
  if (fold_bytes(slot) != 0 || !blocks::is_sound(map, line)) return {};
  const block_header& block = blocks::at(map, line);
  if (blocks::state_of(block) == block_state::freed) return {};
  const std::uint64_t hash = key(blocks::name_in(block)).hash;
  if (pack(hash, line) != slot) return {};
  return (at - first_slot(map, hash)) & (map.layout().index_slots - 1);
}

// Goes from `last` back to `first` and, if may_empty, empties those removed slots that no name's
// look-up has to pass. `reach`: the number of slots from `last` back that look-ups of later names
// pass. It goes backwards, so that this is known at each slot. Returns: the reach before `first`;
// nothing if a name could not be read: no slot before it was changed.
//
// A slot that has no name and is passed on the way to none can be empty or removed: all look-ups
// that meet it end without a name either way. So each of these stores leaves a valid index,
// whatever dies next, and a look-up without a lock may meet any mixture of them. No name ever
// moves: a look-up could pass the new place before the move, and reach the old one after it. A new
// name goes into the first free slot of its run, so it is behind no empty one.
std::optional<std::uint64_t> go_back(mapping& map, std::uint64_t first, std::uint64_t last,
                                     std::uint64_t reach, bool may_empty) noexcept {
  const std::uint64_t mask = map.layout().index_slots - 1;
  std::uint64_t at = last;
  for (std::uint64_t left = ((last - first) & mask) + 1; left > 0; --left) {
    const std::uint64_t slot = map.index()[at].load(std::memory_order_relaxed);
    if (slot == slot_removed && reach == 0 && may_empty)
      map.index()[at].store(slot_empty, std::memory_order_release);
    if (slot != slot_removed && slot != slot_empty) {
      const auto passed = passed_before(map, at, slot);
      if (!passed) return {};
      reach = std::max(reach, *passed + 1);
    }
    at = (at - 1) & mask;
    reach -= reach != 0;
  }
  return reach;
}

// For the whole index. The first round only finds how far the names at its end reach back across
// its begin.
void empty_all(mapping& map) noexcept {
  const std::uint64_t last = map.layout().index_slots - 1;
  if (const auto reach = go_back(map, 0, last, 0, false)) go_back(map, 0, last, *reach, true);
}

// Empties all slots of the name's run that can be empty. Otherwise all empty slots would be removed
// ones in the end, and each miss would read the whole index. A death during this leaves some
// removed, which the recount makes empty.
void remove_slot(mapping& map, std::uint64_t at, std::uint64_t hash) noexcept {
  map.index()[at].store(slot_removed, std::memory_order_release);
  const std::uint64_t mask = map.layout().index_slots - 1;
  const std::uint64_t home = first_slot(map, hash);
  std::uint64_t end = (at + 1) & mask;
  while (end != home && map.index()[end].load(std::memory_order_relaxed) != slot_empty)
    end = (end + 1) & mask;
  if (end == home && map.index()[end].load(std::memory_order_relaxed) != slot_empty)
    return empty_all(map);
  go_back(map, home, (end - 1) & mask, 0, true);
}

// Whether the slot's block is the one that look-ups of `name` want. A sound block of another name
// has the same tag by chance. A block that is not sound is damaged, unless it was removed, and
// perhaps renamed, while we read it.
bool is_wanted(const mapping& map, std::uint64_t at, std::uint64_t slot, std::string_view name) {
  const std::uint32_t line = line_in(slot);
  if (blocks::is_sound(map, line)) {
    const block_header& block = blocks::at(map, line);
    return blocks::state_of(block) == block_state::live && blocks::has_name(block, name);
  }
  if (map.index()[at].load(std::memory_order_acquire) == slot && !blocks::is_sound(map, line))
    blocks::fail_damaged(map, line);
  return false;
}

}  // namespace

key::key(std::string_view text) noexcept : name(text), hash(hash_text(text)) {}

std::optional<std::uint32_t> find_quickly(const mapping& map, const key& wanted,
                                          const object_type& type) noexcept {
  const index_slot* const bucket = map.index() + first_slot(map, wanted.hash);
  const std::uint64_t tag = tag_of(wanted.hash);
  std::uint64_t found = 0;
  for (std::uint64_t i = 0; i < slots_in_bucket; ++i) {
    const std::uint64_t slot = bucket[i].load(std::memory_order_acquire);
    found = slot >> tag_shift == tag ? slot : found;
  }
  if (blocks::is_object(map, line_in(found), wanted.name, type)) return line_in(found);
  return std::nullopt;
}

search find_or_place(const mapping& map, const key& wanted, const object_type& type) {
  search result{std::nullopt, nowhere};
  probe(map, wanted.hash, [&, tag = tag_of(wanted.hash)](std::uint64_t at, std::uint64_t slot) {
    if (!is_used(map, at, slot)) {
      if (result.free_slot == nowhere) result.free_slot = at;
      return true;
    }
    if (slot >> tag_shift != tag) return true;
    const std::uint32_t line = line_in(slot);
    if (blocks::is_object(map, line, wanted.name, type) || is_wanted(map, at, slot, wanted.name))
      result.line = line;
    return !result.line;
  });
  if (!result.line && result.free_slot == nowhere) fail_full(map);
  return result;
}

std::optional<std::uint32_t> find(const mapping& map, const key& wanted, const object_type& type) {
  return find_or_place(map, wanted, type).line;
}

void put(mapping& map, std::uint64_t slot, const key& name, std::uint32_t line) noexcept {
  map.index()[slot].store(pack(name.hash, line), std::memory_order_release);
}

void ensure(mapping& map, const key& name, std::uint32_t line) {
  if (slot_of(map, name.hash, line) != nowhere) return;
  std::uint64_t free = nowhere;
  probe(map, name.hash, [&](std::uint64_t at, std::uint64_t slot) {
    if (!is_used(map, at, slot)) free = at;
    return free == nowhere;
  });
  if (free == nowhere) fail_full(map);
  put(map, free, name, line);
}

void remove(mapping& map, const key& name, std::uint32_t line) {
  if (const std::uint64_t at = slot_of(map, name.hash, line); at != nowhere)
    remove_slot(map, at, name.hash);
}

void remove_stale(mapping& map) {
  for (std::uint64_t at = 0; at < map.layout().index_slots; ++at) {
    const std::uint64_t slot = map.index()[at].load(std::memory_order_relaxed);
    if (!is_used(map, at, slot)) continue;
    const std::uint32_t line = line_in(slot);
    const bool live = blocks::is_sound(map, line) &&
                      blocks::state_of(blocks::at(map, line)) == block_state::live &&
                      pack(key(blocks::name_in(blocks::at(map, line))).hash, line) == slot;
    if (!live) map.index()[at].store(slot_removed, std::memory_order_release);
  }
  empty_all(map);
}

slot_contents read_slot(const mapping& map, std::uint64_t at) noexcept {
  const std::uint64_t slot = map.index()[at].load(std::memory_order_acquire);
  if (slot == slot_empty) return {slot_kind::empty, 0};
  if (slot == slot_removed) return {slot_kind::removed, 0};
  const bool fits = fold_bytes(slot) == 0 && static_cast<std::uint32_t>(slot) != 0;
  return {fits ? slot_kind::used : slot_kind::damaged, line_in(slot)};
}

bool leads_to(const mapping& map, const key& name, std::uint32_t line) {
  return slot_of(map, name.hash, line) != nowhere;
}

}  // namespace outlive::detail::index
