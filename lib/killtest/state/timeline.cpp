#include "killtest/state/timeline.hpp"

#include <linux/futex.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>

#include "format/lock_state.hpp"
#include "format/object_layout.hpp"
#include "killtest/stores/page_shadow.hpp"

namespace outlive::killtest::detail {

namespace {

std::uint64_t mix(std::uint64_t offset, std::uint64_t word) noexcept {
  std::uint64_t hash = (offset + 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9 ^ word;
  hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ hash >> 27) * 0x94d049bb133111eb;
  return hash ^ hash >> 31;
}

}  // namespace

timeline::timeline(char* base, std::uint64_t size) : base_(base), size_(size), mask_(base) {}

void timeline::ignore(std::span<const std::byte> bytes) {
  mask_.ignore(static_cast<std::uint64_t>(reinterpret_cast<const char*>(bytes.data()) - base_),
               bytes.size());
}

void timeline::learn_locks(const recording& log) {
  std::vector<std::uint64_t> found;
  for (const held_locks& list : log.held) {
    for (const std::uint64_t offset : list) {
      if (!mask_.knows(offset) && std::find(found.begin(), found.end(), offset) == found.end())
        found.push_back(offset);
    }
  }
  if (found.empty()) return;
  // What a word adds to the hashes must not change while it is in them.
  std::vector<log_position> here;
  for (const level& each : levels_) here.push_back(each.at);
  seek({});
  for (const std::uint64_t offset : found) {
    const auto* const lock = reinterpret_cast<const outlive::detail::lock_bytes*>(base_ + offset);
    const bool is_inside =
        offset % outlive::detail::cache_line == 0 && offset + sizeof *lock <= size_;
    const std::uint32_t magic = is_inside ? lock->magic.load(std::memory_order_relaxed) : 0;
    const bool is_mutex = magic == outlive::detail::native_lock_magic;
    // The state of a shared mutex counts attempts, too.
    mask_.know_lock(offset, is_mutex || magic == outlive::detail::shared_lock_magic);
    if (is_mutex) mutexes_.push_back(offset);
  }
  seek(here);
}

bool timeline::is_in_an_object(const recording& log, const logged_store& store) const {
  outlive::detail::segment_constants constants;
  std::memcpy(&constants, base_, sizeof constants);
  if (store.offset < outlive::detail::region_layout::of(constants).objects) return false;
  for (const held_locks& list : log.held) {
    for (const std::uint64_t lock : list) {
      const auto* const at = reinterpret_cast<const outlive::detail::lock_bytes*>(base_ + lock);
      const std::uint64_t size =
          at->magic.load(std::memory_order_relaxed) == outlive::detail::shared_lock_magic
              ? sizeof(outlive::detail::shared_lock_bytes)
              : sizeof(outlive::detail::lock_bytes);
      if (store.offset >= lock && store.offset + store.size <= lock + size) return false;
    }
  }
  return true;
}

bool timeline::changes_objects(const recording& log) const {
  return std::any_of(log.stores.begin() + static_cast<std::ptrdiff_t>(log.setup), log.stores.end(),
                     [&](const logged_store& store) { return is_in_an_object(log, store); });
}

std::vector<std::uint64_t> timeline::left_inside() const {
  std::vector<std::uint64_t> found;
  for (const std::uint64_t offset : mutexes_) {
    std::uint32_t native;
    std::uint64_t state;
    std::memcpy(&native, base_ + offset, sizeof native);
    std::memcpy(&state, base_ + offset + offsetof(outlive::detail::lock_bytes, state),
                sizeof state);
    if ((native & FUTEX_OWNER_DIED) != 0 && outlive::detail::lock_state(state).holder())
      found.push_back(offset);
  }
  return found;
}

// Adds the words of [offset, offset + size) to the hashes, or removes them.
void timeline::toggle(std::uint64_t offset, std::size_t size) noexcept {
  for (std::uint64_t at = offset & ~std::uint64_t{7}; at < offset + size; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, base_ + at, sizeof word);
    fine_ ^= mix(at, mask_.masked(at, word, false));
    coarse_ ^= mix(at, mask_.masked(at, word, true));
  }
}

std::optional<different_word> timeline::first_difference(const char* bytes) const noexcept {
  for (std::uint64_t page = 0; page < size_; page += page_bytes) {
    if (std::memcmp(base_ + page, bytes + page, page_bytes) == 0) continue;
    for (std::uint64_t at = page; at < page + page_bytes; at += 8) {
      std::uint64_t mine;
      std::uint64_t other;
      std::memcpy(&mine, base_ + at, sizeof mine);
      std::memcpy(&other, bytes + at, sizeof other);
      const std::uint64_t bits = mask_.masked(at, mine, false) ^ mask_.masked(at, other, false);
      if (bits != 0) return different_word{at, mine, other, bits};
    }
  }
  return std::nullopt;
}

void timeline::poke(std::uint64_t offset, std::span<const std::byte> bytes) {
  toggle(offset, bytes.size());
  std::memcpy(base_ + offset, bytes.data(), bytes.size());
  toggle(offset, bytes.size());
}

void timeline::play(const recording& log, std::size_t from, std::size_t to) {
  for (; from < to; ++from) poke(log.stores[from].offset, log.new_bytes(log.stores[from]));
  for (; from > to; --from) poke(log.stores[from - 1].offset, log.old_bytes(log.stores[from - 1]));
}

// As the kernel does at a death (handle_futex_death): only words that name the thread.
void timeline::mark(level& dead) {
  for (const std::uint64_t offset : dead.at.log->held[dead.at.held]) {
    std::uint32_t word;
    std::memcpy(&word, base_ + offset, sizeof word);
    if ((word & FUTEX_TID_MASK) != static_cast<std::uint32_t>(dead.at.log->pid)) continue;
    dead.marks.push_back({offset, word});
    word = (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    poke(offset, std::as_bytes(std::span(&word, 1)));
  }
}

void timeline::unmark(level& dead) {
  for (; !dead.marks.empty(); dead.marks.pop_back()) {
    const marked_word& each = dead.marks.back();
    poke(each.offset, std::as_bytes(std::span(&each.was, 1)));
  }
}

void timeline::seek(std::span<const log_position> deaths) {
  std::size_t same = 0;
  while (same < levels_.size() && same < deaths.size() && levels_[same].at == deaths[same]) ++same;
  // Levels that differ go, the newest first. The oldest of them may be another position in the same
  // log.
  while (levels_.size() > same) {
    level& last = levels_.back();
    unmark(last);
    const bool moves =
        levels_.size() == same + 1 && same < deaths.size() && deaths[same].log == last.at.log;
    play(*last.at.log, last.at.stores, moves ? deaths[same].stores : 0);
    if (moves) {
      last.at = deaths[same];
      mark(last);
      ++same;
      break;
    }
    levels_.pop_back();
  }
  for (; same < deaths.size(); ++same) {
    levels_.push_back({deaths[same], {}});
    play(*deaths[same].log, 0, deaths[same].stores);
    mark(levels_.back());
  }
}

}  // namespace outlive::killtest::detail
