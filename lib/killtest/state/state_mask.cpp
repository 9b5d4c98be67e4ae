#include "killtest/state/state_mask.hpp"

#include <cstddef>
#include <cstring>

#include "format/lock_state.hpp"

namespace outlive::killtest::detail {

using outlive::detail::held_entry;
using outlive::detail::internal_lock;
using outlive::detail::lock_bytes;
using outlive::detail::segment_constants;
using outlive::detail::segment_header;
using outlive::detail::thread_record;

namespace {

// FUTEX_TID_MASK. It counts whether a thread has the mutex, but not which thread.
constexpr std::uint32_t tid_mask = 0x3fffffff;

std::uint32_t without_tid(std::uint32_t word) noexcept {
  return (word & ~tid_mask) | ((word & tid_mask) == 0 ? 0U : 1U);
}

std::uint64_t coarse_state(std::uint64_t word) noexcept {
  const outlive::detail::lock_state state(word);
  return static_cast<std::uint64_t>(state.condition()) | (state.holder() ? 4U : 0U);
}

constexpr bool is_of_entrants(std::uint64_t offset) noexcept {
  constexpr std::uint64_t begin = offsetof(segment_header, entrants);
  return offset >= begin && offset < begin + sizeof(segment_header::entrants);
}

}  // namespace

state_mask::state_mask(const char* base) {
  segment_constants constants;
  std::memcpy(&constants, base, sizeof constants);
  at_ = outlive::detail::region_layout::of(constants);
  for (const std::size_t lock :
       {offsetof(segment_header, adoption), offsetof(segment_header, directory),
        offsetof(segment_header, names)}) {
    know_native(lock);
    special_[lock + offsetof(internal_lock, owner_start_time)] = kind::ignored;
    special_[lock + offsetof(internal_lock, reserved)] = kind::ignored;  // and owner_tid
  }
  special_[offsetof(segment_header, deaths)] = kind::ignored;
  special_[offsetof(segment_header, owner_deaths)] = kind::ignored;
  for (std::uint64_t i = 0; i < at_.record_count; ++i) {
    const std::uint64_t record = at_.records + i * at_.record_stride;
    know_native(record);
    special_[record + offsetof(thread_record, tid)] = kind::ignored;  // and the pid behind it
    special_[record + offsetof(thread_record, start_time)] = kind::ignored;
    // which one was free depends on who had died
    special_[record + offsetof(thread_record, participant)] = kind::ignored;
    special_[record + offsetof(thread_record, name)] = kind::ignored;
    special_[record + offsetof(thread_record, name) + 8] = kind::ignored;
    for (std::uint64_t held = record + sizeof(thread_record);
         held + sizeof(held_entry) <= record + at_.record_stride; held += sizeof(held_entry)) {
      // addresses are random
      special_[held + offsetof(held_entry, return_address)] = kind::ignored;
    }
  }
}

void state_mask::know_native(std::uint64_t offset) {
  special_[offset] = kind::lock_and_count;
  special_[offset + 8] = kind::owner_and_users;
  special_[offset + 24] = kind::ignored;  // __list
  special_[offset + 32] = kind::ignored;
}

void state_mask::know_lock(std::uint64_t offset, bool has_state) {
  if (offset % 8 != 0 || special_.contains(offset)) return;
  know_native(offset);
  if (has_state) special_[offset + offsetof(lock_bytes, state)] = kind::state;
}

void state_mask::ignore(std::uint64_t offset, std::uint64_t size) {
  for (std::uint64_t at = offset; at < offset + size; ++at) {
    auto& bits =
        counting_bits_.try_emplace(at & ~std::uint64_t{7}, ~std::uint64_t{0}).first->second;
    reinterpret_cast<unsigned char*>(&bits)[at % 8] = 0;
  }
}

bool state_mask::is_of_own_records(std::uint64_t offset) const noexcept {
  if (offset >= at_.records && offset < at_.names) return true;  // records and marks
  return offset >= sizeof(segment_constants) &&
         offset < offsetof(segment_header, directory_counts) &&
         offset != offsetof(segment_header, records_in_use);
}

state_mask::kind state_mask::kind_of(std::uint64_t offset) const noexcept {
  if (offset >= at_.participants && offset < at_.records) return kind::ignored;
  if (offset >= at_.deaths && offset < at_.index) return kind::ignored;
  // the place of a thread there, and what it writes, follow from its id
  if (is_of_entrants(offset)) return kind::ignored;
  const auto found = special_.find(offset);
  return found == special_.end() ? kind::plain : found->second;
}

std::uint64_t state_mask::masked(std::uint64_t offset, std::uint64_t word,
                                 bool coarse) const noexcept {
  if (const auto found = counting_bits_.find(offset); found != counting_bits_.end())
    word &= found->second;
  const auto low = static_cast<std::uint32_t>(word);
  const auto high = static_cast<std::uint32_t>(word >> 32);
  const kind what = kind_of(offset);
  if (coarse && is_of_own_records(offset) && what != kind::lock_and_count) return 0;
  // and name_count behind it
  if (coarse && offset == offsetof(segment_header, records_in_use))
    return word & ~std::uint64_t{0xffffffff};
  switch (what) {
    case kind::ignored: return 0;
    case kind::lock_and_count: return without_tid(low) | std::uint64_t{high} << 32;
    // Of users: glibc never reads it of a robust mutex. It loses count when an owner dies between
    // the lock word and this one, each time by one more.
    case kind::owner_and_users:
      return (low == 0 ? 0U : 1U) | (coarse ? 0 : std::uint64_t{high} << 32);
    case kind::state: return coarse ? coarse_state(word) : word;
    case kind::plain: return word;
  }
  return word;
}

}  // namespace outlive::killtest::detail
