#include "shared/waiting_readers.hpp"

#include <chrono>
#include <climits>
#include <cstdint>

#include "records/held_entries.hpp"
#include "records/marks.hpp"
#include "records/thread_records.hpp"
#include "shared/growing_sleep.hpp"
#include "sys/futex.hpp"
#include "sys/native_mutex.hpp"
#include "sys/spin_pause.hpp"

namespace outlive::detail {

namespace {

constexpr int turn_spins = 200;
// The count may be a dead reader's, so the first look for a living one comes soon.
constexpr std::chrono::milliseconds first_turn_sleep(1);

constexpr std::uint32_t readers_in(std::uint32_t word) noexcept {
  return word & ~writer_asleep;
}

// Stores `to` if the word is still `seen`, and wakes the writers if one has marked it.
bool change(shared_u32& word, std::uint32_t seen, std::uint32_t to) noexcept {
  if (!word.compare_exchange_strong(seen, to, std::memory_order_seq_cst)) return false;
  if ((seen & writer_asleep) != 0) futex_wake(word, INT_MAX);
  return true;
}

// Whether a reader is to have the native mutex next: one is counted, and no thread has the mutex.
// Behind an owner a writer waits as all others do, and the kernel wakes them in turn.
bool is_readers_turn(const shared_lock_bytes& lock) noexcept {
  return readers_in(lock.waiting_readers.load(std::memory_order_acquire)) != 0 &&
         native_mutex::owner_in(native_mutex::word(lock.writers.native)) == 0;
}

// Whether a living thread has the lock in its held list: a reader has an entry before it counts
// itself.
bool has_living_waiter(const attachment& mine, const shared_lock_bytes& lock) noexcept {
  const mapping& map = *mine.map;
  const std::uint64_t offset = map.offset_of(&lock);
  const std::uint32_t end = records_in_use(map);
  for (std::uint32_t index = 0; index < end; ++index) {
    if (index != mine.index && held_entries(map, index).names(offset) &&
        !thread_records::is_dead(map.record(index)))
      return true;
  }
  return false;
}

}  // namespace

waiting_reader::waiting_reader(shared_lock_bytes& lock, bool waits) noexcept : word_(nullptr) {
  if (!waits) return;
  shared_u32& word = lock.waiting_readers;
  std::uint32_t seen = word.load(std::memory_order_relaxed);
  do {
    if (readers_in(seen) == readers_in(~0U)) return;  // damage
  } while (!word.compare_exchange_weak(seen, seen + 1, std::memory_order_seq_cst));
  word_ = &word;
}

waiting_reader::~waiting_reader() {
  if (word_ == nullptr) return;
  for (;;) {
    const std::uint32_t seen = word_->load(std::memory_order_relaxed);
    // 0: a writer has taken this thread for dead or stopped
    if (readers_in(seen) == 0 || change(*word_, seen, readers_in(seen) - 1)) return;
  }
}

void let_readers_first(const attachment& mine, shared_lock_bytes& lock,
                       const deadline& how_long) noexcept {
  shared_u32& word = lock.waiting_readers;
  if (!how_long.waits() || !has_waiting_readers(lock)) return;
  if (readers_in(word.load(std::memory_order_relaxed)) == 0) {
    change(word, writer_asleep, 0);  // damage, which would keep each writer off the fast path
    return;
  }
  for (int i = 0; i < turn_spins; ++i) {
    if (!is_readers_turn(lock)) return;
    spin_pause();
  }
  const auto span = how_long.left_of_slice();
  const deadline until(span);
  growing_sleep sleep(first_turn_sleep);
  bool has_changed = false;
  std::uint32_t seen = 0;
  while (is_readers_turn(lock)) {
    const auto left = until.left();
    if (left <= left.zero()) {
      // A reader that leaves a free mutex alone for a whole slice is stopped, as by a debugger. If
      // it stayed counted, it would cost each lock() a slice.
      if (!has_changed && span == deadline::slice) change(word, seen, 0);
      return;
    }
    seen = word.load(std::memory_order_relaxed);
    if (readers_in(seen) == 0) return;
    if ((seen & writer_asleep) == 0) {
      if (!word.compare_exchange_strong(seen, seen | writer_asleep, std::memory_order_seq_cst))
        continue;
      seen |= writer_asleep;
    }
    if (!sleep.on(word, seen, left)) {
      has_changed = true;
      continue;
    }
    // A killed waiter may have been the one that was woken (hazard A16).
    native_mutex::wake_one(lock.writers.native);
    if (!has_living_waiter(mine, lock)) {
      change(word, seen, 0);
      return;
    }
  }
}

}  // namespace outlive::detail
