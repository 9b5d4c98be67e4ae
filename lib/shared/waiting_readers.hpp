// Readers that wait for a writer, and the writers that let them go first.
//
// Whoever unlocks the native mutex wakes one waiter, and can have the mutex again long before that
// one runs. A writer that locks again and again would pass a reader hundreds of times. So a reader
// that finds the native mutex busy counts itself, and a writer that finds the mutex free but
// readers counted waits until one has it.
//
// The count is a hint, which decides nothing but who goes first. A reader that is killed stays
// counted. So a writer whose sleep nobody ends looks whether a living thread can be that reader.
#pragma once

#include <outlive/detail/deadline.hpp>

#include "format/object_layout.hpp"
#include "records/thread_slot.hpp"

namespace outlive::detail {

// Counts the calling thread as long as this lives. Requires: an entry of the lock in its held list.
class waiting_reader {
 public:
  // `waits`: false counts nobody.
  waiting_reader(shared_lock_bytes& lock, bool waits) noexcept;
  waiting_reader(const waiting_reader&) = delete;
  waiting_reader& operator=(const waiting_reader&) = delete;
  // Wakes the writers that let readers go first.
  ~waiting_reader();
  // For a child that a repair forked: the one that is counted is its parent (U5).
  void leave_to_parent() noexcept { word_ = nullptr; }

 private:
  shared_u32* word_;
};

// Whether readers seem to wait.
inline bool has_waiting_readers(const shared_lock_bytes& lock) noexcept {
  return lock.waiting_readers.load(std::memory_order_relaxed) != 0;
}

// For a writer that is about to try the native mutex: waits while readers are counted and nobody
// has it, for a slice at most, and not past `how_long`.
// Requires: no entry of the lock in the thread's held list. With one, writers that wait here would
// take each other for readers.
void let_readers_first(const attachment& mine, shared_lock_bytes& lock,
                       const deadline& how_long) noexcept;

}  // namespace outlive::detail
