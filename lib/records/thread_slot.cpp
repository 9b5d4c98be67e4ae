#include "records/thread_slot.hpp"

#include <algorithm>
#include <utility>

#include "records/attachment_tree.hpp"
#include "records/stale_guards.hpp"
#include "records/thread_records.hpp"
#include "sys/fork_epoch.hpp"
#include "sys/process.hpp"
#include "sys/thread_exit.hpp"

namespace outlive::detail {

namespace {

// Read by every thread before its first use of a segment, written by none.
constinit wiped_slot nobodys_slot{};

// Kept outside of the slot, so that a forked child can free its copy.
constinit thread_local attachment* first_attachment = nullptr;
// The same ones, for look-ups. A signal handler must not look here: a change can be under way.
constinit thread_local attachment_tree all_attachments;
// How many there are, and entries in the held lists of those that the slot is not on: the limit of
// each depends on all.
constinit thread_local std::ptrdiff_t attachment_count = 0;
constinit thread_local std::ptrdiff_t entry_count = 0;

// To be called of one that is on the list no more.
void forget(const attachment& which) noexcept {
  all_attachments.erase(which);
  attachment_count -= 1;
  entry_count -= which.top - which.held;
}

// All locks that the thread may hold over all segments, one liveness mutex a segment included: the
// kernel marks 2,048, and leaves some to other code of the process (hazard A1, U7).
constexpr std::ptrdiff_t max_held_in_all = 1'900;

// Its record is no longer the thread's, or never was this process's. Where objects still hold
// permits or jobs by it, they keep the mapping.
void leave_holds(attachment& which) noexcept {
  if (which.named_by == 0 || which.room_for_holds == nullptr) return;
  which.room_for_holds->map = which.map;
  which.room_for_holds->name = which.name;
  which.room_for_holds->count = which.named_by;
  keep_for_holds(std::move(which.room_for_holds));
}

void forget_all_attachments() noexcept {
  all_attachments.clear();
  attachment_count = entry_count = 0;
  while (attachment* const each = first_attachment) {
    first_attachment = each->next;
    // out of the list before it is gone: a crash handler may look
    std::atomic_signal_fence(std::memory_order_seq_cst);
    leave_holds(*each);
    if (!each->kept) delete each;
  }
}

// Attachments of threads that ended while they held something. The kernel's walk at a thread's end
// goes through the memory of what it held, so that the mapping must stay for it; when the thread is
// gone the walk is over, and free_kept_attachments() lets go of the mapping.
constinit std::atomic<attachment*> kept_attachments{nullptr};

void keep(attachment& which) noexcept {
  which.next_kept = kept_attachments.load(std::memory_order_relaxed);
  while (
      !kept_attachments.compare_exchange_weak(which.next_kept, &which, std::memory_order_acq_rel)) {
  }
}

// The thread's last use of it, as far as is known now. Requires: it is on no list of the thread, or
// the thread ends.
void let_go_of(attachment& which) noexcept {
  if (which.kept)
    which.used.store(true, std::memory_order_release);  // pairs with free_kept_attachments()
  else
    delete &which;
}

// At the thread's end. What it still holds stays held: the kernel's walk makes an owner death of
// it, as POSIX says. The attachment stays then, too, until the thread is gone: it keeps the mapping
// for the walk.
void end_of_thread() {
  // In a forked child what is here is its parent's, and its parent's records are not ours to
  // release. No pthread call must see them: a raw clone, or another PID namespace, gives a child
  // the thread id that is in their words.
  this_thread::forget_parents_attachments();
  this_thread::deactivate();
  attachment** link = &first_attachment;
  while (attachment* const each = *link) {
    if (each->top != each->held || each->has_marks()) {
      stale_guards::left_in(*each->map);
      link = &each->next;
      continue;
    }
    // Before the record is released: a hold that ends elsewhere from then on is void.
    leave_holds(*each);
    thread_records::release(*each->map, each->index);
    *link = each->next;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    forget(*each);
    // One that is kept, and was let go of later, is on that list, too.
    let_go_of(*each);
  }
  attachment* next = nullptr;
  for (attachment* each = first_attachment; each != nullptr; each = next) {
    next = each->next;  // what follows is the last use
    if (each->kept) {
      let_go_of(*each);
      continue;
    }
    each->kept = true;
    each->kept_by = myself();
    keep(*each);
  }
  // A later destructor that locks starts again, and this is called again. If something is held, its
  // attachment must stay, and the slot with it. So the next round of destructors calls this once
  // more, for what later ones attached to or let go of. It can do so: the key has had a value in
  // this thread, and another one needs no memory.
  if (first_attachment == nullptr)
    free_wiped_on_fork(std::exchange(current_slot.wiped, &nobodys_slot));
  else
    at_thread_exit(&end_of_thread);
}

}  // namespace

bool attachment::has_marks() const noexcept {
  for (const mark_line* line : {&map->mark_slots_of(index), &map->spilled_marks_of(index)}) {
    for (const shared_u32& mark : line->at) {
      if (mark.load(std::memory_order_relaxed) != 0) return true;
    }
  }
  return false;
}

constinit thread_local thread_slot current_slot{&nobodys_slot, nullptr, nullptr, nullptr, 0,
                                                nullptr,       nullptr};

namespace this_thread {

thread_slot& slot() {
  if (current_slot.wiped == &nobodys_slot)
    current_slot.wiped = static_cast<wiped_slot*>(allocate_wiped_on_fork());
  if (current_slot.wiped->in_use == 0) {
    stale_guards::watch_forks();
    at_thread_exit(&end_of_thread);
    current_slot.current = nullptr;
    // new thread: none; forked child: its parent's, whose records are its parent's
    forget_all_attachments();
    current_slot.wiped->in_use = 1;
  }
  return current_slot;
}

attachment* attachment_of(const void* address) noexcept {
  return current_slot.wiped->in_use == 0 ? nullptr : all_attachments.find(address);
}

const attachment* attachments() noexcept {
  return current_slot.wiped->in_use == 0 ? nullptr : first_attachment;
}

void forget_parents_attachments() noexcept {
  if (current_slot.wiped->in_use != 0) return;
  current_slot.current = nullptr;
  forget_all_attachments();
}

void free_kept_attachments() noexcept {
  if (kept_attachments.load(std::memory_order_relaxed) == nullptr) return;
  // A forked child: the list of the thread that forked may have some of them, too.
  forget_parents_attachments();
  attachment* next = nullptr;
  for (attachment* each = kept_attachments.exchange(nullptr, std::memory_order_acq_rel);
       each != nullptr; each = next) {
    next = each->next_kept;
    const own_identity& by = each->kept_by;
    if (by.epoch != process_epoch() ||
        is_thread_dead(current_pid(), static_cast<pid_t>(by.tid), by.start_time)) {
      static_cast<void>(each->used.load(std::memory_order_acquire));  // pairs with let_go_of()
      leave_holds(*each);
      delete each;
    } else {
      keep(*each);
    }
  }
}

attachment& attach(std::unique_ptr<attachment> room, std::shared_ptr<mapping> map,
                   std::uint32_t index) noexcept {
  attachment* const made = room.release();
  made->map = std::move(map);
  made->index = index;
  made->record = &made->map->record(index);
  made->held = made->map->held(index);
  stale_guards::attached_to(*made->map);
  made->top = made->held;
  made->me = holder_bits(index, made->record->generation.load(std::memory_order_relaxed)) |
             free_consistent;
  made->name = std::uint64_t{index + 1} << 48 |
               (made->record->generation.load(std::memory_order_relaxed) & generation_bits);
  made->next = first_attachment;
  // complete before a crash handler can find it
  std::atomic_signal_fence(std::memory_order_seq_cst);
  first_attachment = made;
  all_attachments.insert(*made);
  attachment_count += 1;
  return *made;
}

void detach(attachment& which) noexcept {
  deactivate();
  for (attachment** link = &first_attachment; *link != nullptr; link = &(*link)->next) {
    if (*link != &which) continue;
    *link = which.next;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    forget(which);
    // One that is kept is on that list, too, which frees it once the thread is gone.
    let_go_of(which);
    return;
  }
}

void move_top(attachment& which, held_entry* to) noexcept {
  entry_count += to - which.top;
  which.top = to;
}

held_entry* limit_of(const attachment& which) noexcept {
  const std::ptrdiff_t elsewhere = entry_count - (which.top - which.held);
  // each has a liveness mutex
  const std::ptrdiff_t left = max_held_in_all - attachment_count - elsewhere;
  const std::ptrdiff_t own = which.map->constants().max_held;
  return which.held + std::clamp<std::ptrdiff_t>(left, 0, own);
}

void activate(attachment& which) noexcept {
  thread_slot& slot = current_slot;
  if (slot.current == &which) return;
  deactivate();
  slot.top = which.top;
  // attaching elsewhere lowers the limit, perhaps below top
  slot.limit = std::max(limit_of(which), which.top);
  slot.me = which.me;
  slot.record = which.record;
  slot.base = which.map->base();
  slot.current = &which;
  slot.wiped->marks = &which.map->mark_slots_of(which.index);
  slot.wiped->plain_marks = which.map->has_plain_marks();
  // Last: a signal handler that looks in between finds a slot that is off.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  slot.wiped->size = which.map->size();
  if (which.may_mark) slot.wiped->marks_size = which.map->size();
}

void deactivate() noexcept {
  thread_slot& slot = current_slot;
  if (slot.wiped->in_use == 0 || slot.current == nullptr) return;
  slot.wiped->size = slot.wiped->marks_size = 0;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  move_top(*slot.current, slot.top);
  slot.current = nullptr;
}

}  // namespace this_thread

}  // namespace outlive::detail
