#include "segment/index.hpp"

#include <string>

#include "segment/blocks.hpp"
#include "segment/failure.hpp"
#include "segment/hash.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive::detail::index {

namespace {

// Whether the slot leads to a block: neither empty nor removed.
bool is_used(std::uint64_t hash) noexcept {
  return hash != slot_empty && hash != slot_removed;
}

std::uint64_t hash_of(std::string_view name) noexcept {
  const std::uint64_t hash = hash_text(name);
  return is_used(hash) ? hash : hash + 1;
}

std::uint64_t pack(std::uint64_t hash, std::uint32_t line) noexcept {
  return (mix(hash, line) & 0xffffffff'00000000) | line;
}

// One look at a slot, consistent although a writer may be at work: a hash whose block does not belong to it is read again.
struct slot_view {
  std::uint64_t hash;
  std::uint32_t line;
};

slot_view look_at(const mapping& where, std::uint64_t at) {
  const index_slot& slot = where.index()[at];
  for (std::uint64_t hash = slot.hash.load(std::memory_order_acquire);;) {
    if (!is_used(hash)) return {hash, 0};
    const std::uint64_t block = slot.block.load(std::memory_order_acquire);
    const auto line = static_cast<std::uint32_t>(block);
    if (block == pack(hash, line)) return {hash, line};
    const std::uint64_t again = slot.hash.load(std::memory_order_acquire);
    if (again == hash && slot.block.load(std::memory_order_acquire) == block) {
      fail(errc::damaged, where.describe() + ": found slot " + std::to_string(at) +
                              " of its directory with a check that does not fit, expected an entry or an empty slot");
    }
    hash = again;
  }
}

// Visits the slots that a name may be in, until visit returns false or an empty slot ends the run.
template <class Visit>
void probe(const mapping& where, std::uint64_t hash, Visit visit) {
  const std::uint64_t mask = where.layout().index_slots - 1;
  std::uint64_t at = hash & mask;
  for (std::uint64_t steps = 0; steps <= mask; ++steps, at = (at + 1) & mask) {
    const slot_view slot = look_at(where, at);
    if (slot.hash == slot_empty || !visit(at, slot)) return;
  }
}

std::optional<std::uint64_t> slot_of(const mapping& where, std::uint64_t hash, std::uint32_t line) {
  std::optional<std::uint64_t> found;
  probe(where, hash, [&](std::uint64_t at, const slot_view& slot) {
    if (slot.hash == hash && slot.line == line) found = at;
    return !found;
  });
  return found;
}

std::uint64_t first_usable(const mapping& where, std::uint64_t hash) {
  const std::uint64_t mask = where.layout().index_slots - 1;
  std::uint64_t at = hash & mask;
  for (std::uint64_t steps = 0; steps <= mask; ++steps, at = (at + 1) & mask) {
    if (!is_used(look_at(where, at).hash)) return at;
  }
  fail(errc::damaged, where.describe() + ": found no free slot in its directory, expected half of them free");
}

// A removed slot before an empty one ends no run: it may be empty, too. Keeps misses short after many removals.
void empty_run_before(mapping& where, std::uint64_t at) {
  const std::uint64_t mask = where.layout().index_slots - 1;
  if (where.index()[(at + 1) & mask].hash.load(std::memory_order_relaxed) != slot_empty) return;
  for (std::uint64_t steps = 0; steps <= mask; ++steps, at = (at - 1) & mask) {
    shared_u64& hash = where.index()[at].hash;
    if (hash.load(std::memory_order_relaxed) != slot_removed) return;
    hash.store(slot_empty, std::memory_order_release);
  }
}

void remove_slot(mapping& where, std::uint64_t at) {
  where.index()[at].hash.store(slot_removed, std::memory_order_release);
  empty_run_before(where, at);
}

constexpr std::uint64_t quick_steps = 8;

// Whether the slot's block is the one that look-ups of `name` want. A sound block of another name has the same hash by chance. One that is not
// sound is damaged, unless it was removed, and perhaps given another name, while we looked.
bool is_wanted(const mapping& where, std::uint64_t at, const slot_view& slot, std::string_view name) {
  const block_header& block = blocks::at(where, slot.line < where.layout().object_lines ? slot.line : 0);
  if (blocks::is_sound(where, slot.line)) return blocks::state_of(block) == block_state::live && blocks::name_in(block) == name;
  const slot_view again = look_at(where, at);
  if (again.hash == slot.hash && again.line == slot.line && !blocks::is_sound(where, slot.line)) blocks::fail_damaged(where, slot.line);
  return false;
}

}  // namespace

std::optional<std::uint32_t> find_quickly(const mapping& where, std::string_view name, const object_type& type) noexcept {
  const std::uint64_t hash = hash_of(name);
  const std::uint64_t mask = where.layout().index_slots - 1;
  const index_slot* const slots = where.index();
  for (std::uint64_t at = hash & mask, steps = 0; steps < quick_steps; ++steps, at = (at + 1) & mask) {
    const std::uint64_t found = slots[at].hash.load(std::memory_order_acquire);
    if (found == slot_empty) return std::nullopt;
    if (found != hash) continue;
    const auto line = static_cast<std::uint32_t>(slots[at].block.load(std::memory_order_acquire));
    if (blocks::is_object(where, line, name, type)) return line;
    return std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> find(const mapping& where, std::string_view name, const object_type& type) {
  const std::uint64_t hash = hash_of(name);
  std::optional<std::uint32_t> found;
  probe(where, hash, [&](std::uint64_t at, const slot_view& slot) {
    if (slot.hash != hash) return true;
    if (blocks::is_object(where, slot.line, name, type) || is_wanted(where, at, slot, name)) found = slot.line;
    return !found;
  });
  return found;
}

void ensure(mapping& where, std::string_view name, std::uint32_t line) {
  const std::uint64_t hash = hash_of(name);
  if (slot_of(where, hash, line)) return;
  index_slot& slot = where.index()[first_usable(where, hash)];
  slot.block.store(pack(hash, line), std::memory_order_release);  // look_at(): a new block is not seen under an older hash for long
  crash_barrier();  // the hash publishes the block
  slot.hash.store(hash, std::memory_order_release);
}

void remove(mapping& where, std::string_view name, std::uint32_t line) {
  if (const auto at = slot_of(where, hash_of(name), line)) remove_slot(where, *at);
}

void remove_stale(mapping& where) {
  for (std::uint64_t at = 0; at < where.layout().index_slots; ++at) {
    const slot_view slot = look_at(where, at);
    if (!is_used(slot.hash)) continue;
    const bool live = blocks::is_sound(where, slot.line) && blocks::state_of(blocks::at(where, slot.line)) == block_state::live &&
                      hash_of(blocks::name_in(blocks::at(where, slot.line))) == slot.hash;
    if (!live) remove_slot(where, at);
  }
}

bool names(const mapping& where, std::uint32_t line) noexcept {
  try {
    const block_header& block = blocks::at(where, line);
    return blocks::state_of(block) == block_state::live && slot_of(where, hash_of(blocks::name_in(block)), line).has_value();
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace outlive::detail::index
