// thread_slot: what the calling thread's lock() and unlock() need at once, in thread-local memory,
// but for what fork must wipe.
//
// The size of the segment that the slot is on lies in memory that fork wipes (fork_epoch.hpp). So
// the range test that each call makes anyway is the fork check, too: a forked child, a thread that
// has not locked yet and a lock of another segment all take the slow path. The rest is not behind
// that pointer, because the addresses of the stores before the native lock would have to wait for
// it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "format/layout.hpp"
#include "format/lock_state.hpp"
#include "mapping/mapping.hpp"
#include "records/entrants.hpp"
#include "records/handed_count.hpp"
#include "records/outlived_holds.hpp"
#include "sys/fork_epoch.hpp"

namespace outlive::detail {

// The calling thread's record in one segment.
struct attachment {
  std::shared_ptr<mapping> map;
  std::uint32_t index = 0;
  thread_record* record = nullptr;
  held_entry* held = nullptr;
  // first free entry; the slot's copy counts while the slot is on this segment. Changed by
  // move_top() alone
  held_entry* top = nullptr;
  // words of permits and jobs that name the record as their holder: with one, it is not idle
  std::uint32_t named_by = 0;
  // How many it has handed over, and how many of those name it no longer; nullptr until the first.
  std::uint32_t handed = 0;
  std::shared_ptr<handed_count> handing;
  // {me, consistent}: the word of a lock that this thread is in
  std::uint64_t me = 0;
  // {index + 1, all bits of the generation}: how words of permits name the thread
  std::uint64_t name = 0;
  // the same once it gives permits back by a plain store, which reaches waiters by their
  // membarrier; else 0
  std::uint64_t plain_name = 0;
  // marks of the record reach writers
  bool may_mark = false;
  bool asked_for_plain_name = false;
  attachment* next = nullptr;
  attachment* below = nullptr;  // links of the tree
  attachment* above = nullptr;
  // Once its thread has ended while holding.
  bool kept = false;
  // For the end of the thread, which must not fail.
  std::unique_ptr<outlived_holds> room_for_holds = std::make_unique<outlived_holds>();
  // Stored with release after each use by its thread once it is kept. Pairs with the acquire in
  // free_kept_attachments(): the death of the thread orders them, too, but no tool sees that.
  std::atomic<bool> used{false};
  attachment* next_kept = nullptr;
  own_identity kept_by{};

  // Whether the record may be released. Requires: the slot is not on this segment.
  [[nodiscard]] bool idle() const noexcept {
    return top == held && named_by == 0 && !has_marks() && !has_handed();
  }
  // Whether a word still names the thread for a hold that is on its way to another one.
  [[nodiscard]] bool has_handed() const noexcept {
    // acquire: pairs with end_handing()
    return handing != nullptr && handing->ended.load(std::memory_order_acquire) != handed;
  }
  // Whether the thread holds a shared mutex shared.
  [[nodiscard]] bool has_marks() const noexcept;
  [[nodiscard]] record_id id() const noexcept {
    const lock_state state(me);
    return state.holder();
  }
};

// Call it while the thread has the native mutex, for each one that it acquires, even if it releases
// it at once. An adopter concludes from an unchanged count that the thread has not had a native
// mutex in between (adoption.cpp). Shared holds and permits count, too, so that a supervisor can
// tell one hold from the next; an adopter then looks once more.
inline void count_acquisition(const attachment& mine) noexcept {
  shared_u64& count = mine.record->acquisitions;
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// Zero in a forked child.
struct alignas(cache_line) wiped_slot {
  // of the segment that the slot is on; 0: on none
  std::uint64_t size;
  // how many repairs the thread is in
  std::uint32_t repairs;
  // 0 before the thread's first use, and after a fork: then nothing in the slot counts
  std::uint32_t in_use;
  // the same once the thread may mark; else 0
  std::uint64_t marks_size;
  // of the thread's record
  mark_line* marks;
  // whether the thread marks by plain stores
  bool plain_marks;
};
static_assert(sizeof(wiped_slot) == wiped_line_bytes);

struct alignas(cache_line) thread_slot {
  wiped_slot* wiped;  // one that says 0 until the thread's first use of a segment
  char* base;
  held_entry* top;
  held_entry* limit;
  std::uint64_t me;
  thread_record* record;
  attachment* current;
};
static_assert(sizeof(thread_slot) == cache_line);

extern constinit thread_local thread_slot current_slot;

namespace this_thread {

// The calling thread's slot; makes it, and notices a fork. Throws std::bad_alloc.
thread_slot& slot();

// The thread's attachment to the segment that contains the address; nullptr if it has none.
attachment* attachment_of(const void* address) noexcept;

// The thread's attachments; nullptr before its first use, and in a forked child. Async-signal-safe:
// in a handler the list is whole.
const attachment* attachments() noexcept;

// Remembers that the thread has claimed record `index`, in `room`, which was made before the claim
// so that nothing can fail after it.
attachment& attach(std::unique_ptr<attachment> room, std::shared_ptr<mapping> map,
                   std::uint32_t index) noexcept;

// Removes an attachment whose record was released.
void detach(attachment& which) noexcept;

// Puts the slot on the segment of `which`: the fast path works there from now on. Requires: no
// repair is under way.
void activate(attachment& which) noexcept;
// Takes the slot off the segment: during a repair, and while entries are changed behind its back.
void deactivate() noexcept;

// In a forked child that has used no segment since: lets go of its copies of the parent's
// attachments.
void forget_parents_attachments() noexcept;

// Releases the segments that threads of this process held when they ended, once those threads are
// gone. Called where mappings come and go. Requires: the table's mutex is not held.
void free_kept_attachments() noexcept;

// Changes the attachment's `top`, and the thread's count of entries with it. Requires: the slot is
// not on this segment.
void move_top(attachment& which, held_entry* to) noexcept;

// How many entries the attachment may have, by the segment's limit and the thread's over all
// segments (hazard A1).
held_entry* limit_of(const attachment& which) noexcept;

}  // namespace this_thread

}  // namespace outlive::detail
