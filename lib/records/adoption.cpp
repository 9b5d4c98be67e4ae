#include "records/adoption.hpp"

#include <algorithm>
#include <chrono>

#include "records/entrants.hpp"
#include "records/held_entries.hpp"
#include "records/participants.hpp"
#include "records/thread_records.hpp"
#include "sys/futex.hpp"
#include "sys/native_mutex.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

namespace {

// Neither an owner nor a death, and yet not free: damage, since no protocol leaves such a word.
// pthread would wait for it for ever. Marked as a death, it goes to the next locker.
bool is_nobodys(std::uint32_t word) noexcept {
  return word == native_mutex::waiters;
}

// What the records with one thread id say about the lock. A dead thread's record and a living one's
// may have the same, reused id.
struct bearers {
  bool living = false;
  bool dead = false;
  std::uint64_t acquisitions = 0;  // of living threads with that id, whatever they hold
  std::uint64_t lives = 0;         // generations of all records: grows with each claim

  bool operator==(const bearers&) const noexcept = default;
};

bearers find_bearers(const mapping& map, const lock_bytes& lock, std::uint32_t tid) noexcept {
  const std::uint64_t offset = map.offset_of(&lock);
  bearers found;
  for (std::uint32_t i = 0; i < map.record_count(); ++i) {
    const thread_record& record = map.record(i);
    // A claim between the looks starts a count again, or removes a record from those with the id.
    // The sum is over all records, because only that sum cannot come to the same value again. It is
    // read first, with acquire, which pairs with the release in write_identity(). So a reader that
    // sees a new life here does not see the former life's count below, even if one thread has both
    // lives and the id does not differ.
    found.lives += record.generation.load(std::memory_order_acquire);
    if (record.tid.load(std::memory_order_acquire) != tid) continue;
    const bool dead = thread_records::is_named_thread_dead(record, tid);
    // The count is read before and after the entries. If a thread acquires and releases the lock
    // meanwhile, one of the two looks sees the entry, or the sums differ, wherever between push and
    // removal it counts.
    if (!dead) found.acquisitions += record.acquisitions.load(std::memory_order_acquire);
    if (held_entries(map, i).names(offset)) (dead ? found.dead : found.living) = true;
    if (!dead) found.acquisitions += record.acquisitions.load(std::memory_order_acquire);
  }
  return found;
}

// One living bearer is enough: an entry is there before the native lock. To see none proves little,
// because a living thread may have released and acquired the lock again while its record was read.
// So two looks around another look at the word must agree, and with them that thread's count of
// acquisitions (docs/model/adopt.pml). "No record and the thread exists: not dead."
bool is_lock_owner_dead(const mapping& map, const lock_bytes& lock, std::uint32_t tid) noexcept {
  if (tid == static_cast<std::uint32_t>(current_tid())) return true;
  const bearers first = find_bearers(map, lock, tid);
  if (first.living) return false;
  if ((native_mutex::word(lock.native) & native_mutex::tid_mask) != tid) return false;
  if (find_bearers(map, lock, tid) != first) return false;
  return first.dead || is_thread_id_free(static_cast<pid_t>(tid));
}

// A thread is named as an entrant from before its native lock until after its native unlock. So a
// living thread with the id that is not named does not have the lock, if the word is read between
// two looks and no acquisition was counted in between (docs/model/internal.pml). The lock's owner_*
// prove no death: they are written after the native lock, and until then belong to a former owner,
// which may have had the same id.
bool is_internal_owner_dead(const mapping& map, internal_kind which, const pthread_mutex_t& mutex,
                            std::uint32_t tid) noexcept {
  if (!entrants::are_complete(map)) return !participants::has_thread(map, tid);
  const shared_u64& count = map.header().internal_acquisitions[static_cast<unsigned>(which)];
  const std::uint64_t before = count.load(std::memory_order_acquire);
  if (entrants::may_be_inside(map, which, tid)) return false;
  if ((native_mutex::word(mutex) & native_mutex::tid_mask) != tid) return false;
  if (entrants::may_be_inside(map, which, tid)) return false;
  return count.load(std::memory_order_acquire) == before && entrants::are_complete(map);
}

// No further mutex keeps the adopters of the adoption mutex apart. A word does: it names the
// adopter, and the next one may overwrite a dead adopter's.
class rescue {
 public:
  explicit rescue(mapping& map) noexcept : rescuer_(map.header().rescuer) {
    std::uint64_t seen = rescuer_.load(std::memory_order_acquire);
    if (seen != 0 && !entrants::is_dead(seen)) return;
    const std::uint64_t me = entrants::word_of_this_thread(internal_kind::adoption);
    mine_ = rescuer_.compare_exchange_strong(seen, me, std::memory_order_acq_rel);
  }
  rescue(const rescue&) = delete;
  rescue& operator=(const rescue&) = delete;
  ~rescue() {
    if (mine_) rescuer_.store(0, std::memory_order_release);
  }
  [[nodiscard]] bool is_mine() const noexcept { return mine_; }

 private:
  shared_u64& rescuer_;
  bool mine_ = false;
};

adoption adopt_now(pthread_mutex_t& mutex, std::uint32_t word) noexcept {
  return native_mutex::adopt(mutex, word) ? adoption::done : adoption::none;
}

// The adoption mutex can be an orphan only if the kernel's walk did not reach the lock that was
// acquired last.
struct adoption_judge {
  mapping& map;
  pthread_mutex_t& mutex;

  // no thread acquires it twice: this thread's id is a former bearer's (U6)
  static bool owns() noexcept { return false; }
  static bool is_look_due_at_once() noexcept { return true; }
  static void on_first_wait() noexcept {}
  adoption adopt(const deadline& limit) noexcept {
    const rescue only(map);
    if (!only.is_mine()) {
      // Not at once again: with this thread's own id in the word, nothing else makes it wait.
      const shared_u32 nobody_wakes{0};
      if (limit.waits())
        futex_wait(nobody_wakes, 0,
                   std::min<std::chrono::nanoseconds>(limit.left(), std::chrono::milliseconds(1)));
      return adoption::busy;
    }
    const std::uint32_t word = native_mutex::word(mutex);
    const std::uint32_t tid = word & native_mutex::tid_mask;
    if (is_nobodys(word)) return adopt_now(mutex, word);
    if (tid == 0) return adoption::done;
    const bool orphan = tid == static_cast<std::uint32_t>(current_tid()) ||
                        is_internal_owner_dead(map, internal_kind::adoption, mutex, tid);
    return orphan ? adopt_now(mutex, word) : adoption::none;
  }
};

class adoption_hold {
 public:
  adoption_hold(mapping& map, const deadline& limit) noexcept
      : mutex_(map.header().adoption.native), named_(map, internal_kind::adoption) {
    if (!native_mutex::is_intact(mutex_)) return;
    adoption_judge judge{map, mutex_};
    result_ = lock_natively(mutex_, native_mutex::try_lock(mutex_), limit, judge);
    // it guards no bytes
    if (result_ == native_result::inherited) native_mutex::consistent(mutex_);
    if (is_acquired(result_)) named_.count();
  }
  adoption_hold(const adoption_hold&) = delete;
  adoption_hold& operator=(const adoption_hold&) = delete;
  ~adoption_hold() {
    if (is_acquired(result_)) native_mutex::unlock(mutex_);
  }
  [[nodiscard]] native_result result() const noexcept { return result_; }

 private:
  pthread_mutex_t& mutex_;
  native_result result_ = native_result::damaged;
  entrant named_;
};

template <class IsDead>
adoption adopt_word(mapping& map, pthread_mutex_t& mutex, const deadline& limit,
                    IsDead is_dead) noexcept {
  // A first look without the mutex: most blocked lockers wait for a living owner.
  std::uint32_t word = native_mutex::word(mutex);
  if (is_nobodys(word)) return adopt_now(mutex, word);
  if ((word & native_mutex::tid_mask) == 0) return adoption::done;
  if (!is_dead(word & native_mutex::tid_mask)) return adoption::none;

  const adoption_hold hold(map, limit);
  if (hold.result() == native_result::busy) return adoption::busy;
  if (!is_acquired(hold.result())) return adoption::damaged;
  word = native_mutex::word(mutex);
  const std::uint32_t tid = word & native_mutex::tid_mask;
  if (tid == 0) return adoption::done;
  return is_dead(tid) ? adopt_now(mutex, word) : adoption::none;
}

}  // namespace

adoption adopt_if_orphan(mapping& map, lock_bytes& lock, const deadline& limit) noexcept {
  const std::uint32_t word = native_mutex::word(lock.native);
  if ((word & native_mutex::tid_mask) == 0 && !is_nobodys(word)) {
    // Free, and yet somebody waited a whole slice: a waiter that had been woken was killed (hazard
    // A16). Pass the wake on.
    native_mutex::wake_one(lock.native);
    return adoption::done;
  }
  return adopt_word(map, lock.native, limit,
                    [&](std::uint32_t tid) { return is_lock_owner_dead(map, lock, tid); });
}

adoption adopt_liveness_if_orphan(mapping& map, std::uint32_t index,
                                  const deadline& limit) noexcept {
  thread_record& record = map.record(index);
  return adopt_word(map, record.liveness, limit, [&](std::uint32_t tid) {
    // Not by the record's identity: a claimer with a reused id holds the mutex before it has
    // written its own. It is a participant's thread.
    return tid != static_cast<std::uint32_t>(current_tid()) && !participants::has_thread(map, tid);
  });
}

adoption adopt_internal_if_orphan(mapping& map, internal_lock& lock, internal_kind which,
                                  const deadline& limit) noexcept {
  return adopt_word(map, lock.native, limit, [&](std::uint32_t tid) {
    // With this thread's own id it is a former bearer's: this thread is outside.
    if (tid == static_cast<std::uint32_t>(current_tid())) return true;
    // A living holder has named itself, except in its first instructions. So a stray store to its
    // place among the entrants does not cost it the lock. The tid is read first, with acquire,
    // which pairs with the release by which internal_guard stores it after the start time. So the
    // start time is that of the holder whose tid was seen, or of a later one. With a former
    // holder's, a living holder would count as dead here. A later one does no harm: the tid's
    // bearer has left then, and the full judgement decides. Loads in the other order would cost a
    // holder only this protection. No test shows the order: an adopter that comes before the
    // holder's tid is there uses the full judgement either way.
    if (lock.owner_tid.load(std::memory_order_acquire) == tid) {
      const std::uint64_t started = lock.owner_start_time.load(std::memory_order_relaxed);
      const auto start_time = static_cast<std::uint32_t>(started);
      if (!is_bearer_dead(static_cast<pid_t>(tid), start_time)) return false;
    }
    return is_internal_owner_dead(map, which, lock.native, tid);
  });
}

}  // namespace outlive::detail
