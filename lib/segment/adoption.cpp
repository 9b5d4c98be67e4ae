#include "segment/adoption.hpp"

#include <cerrno>
#include <chrono>
#include <string>

#include "segment/failure.hpp"
#include "segment/held_walk.hpp"
#include "segment/participants.hpp"
#include "segment/thread_records.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/fork_epoch.hpp"
#include "sys/native_mutex.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

namespace {

constexpr std::chrono::milliseconds slice(250);

// Neither an owner nor a death, and yet not free: damage, since no protocol leaves such a word. pthread would wait for it for ever; marked as a
// death, it goes to the next locker.
bool is_nobodys(std::uint32_t word) noexcept {
  return word == native_mutex::waiters;
}

bool is_record_thread_dead(const thread_record& record, std::uint32_t tid) noexcept {
  return is_thread_dead(static_cast<pid_t>(record.pid.load(std::memory_order_relaxed)), static_cast<pid_t>(tid),
                        record.start_time.load(std::memory_order_relaxed));
}

// Whose records bear a thread id and have the lock in hand. A dead thread's record and that of a living one may bear the same, reused id.
struct bearers {
  bool living = false;
  bool dead = false;
  std::uint64_t acquisitions = 0;  // of living threads with that id, whatever they hold

  bool operator==(const bearers&) const noexcept = default;
};

bearers find_bearers(const mapping& where, const lock_bytes& lock, std::uint32_t tid) noexcept {
  const std::uint64_t offset = where.offset_of(&lock);
  bearers found;
  for (std::uint32_t i = 0; i < where.record_count(); ++i) {
    const thread_record& record = where.record(i);
    if (record.tid.load(std::memory_order_acquire) != tid) continue;
    const bool dead = is_record_thread_dead(record, tid);
    // The count around the entries: of a thread that takes and gives back the lock meanwhile, one of the two looks sees the entry, or the sums differ,
    // wherever between push and removal it counts.
    if (!dead) found.acquisitions += record.acquisitions.load(std::memory_order_acquire);
    if (held_walk::names(where, i, offset)) (dead ? found.dead : found.living) = true;
    if (!dead) found.acquisitions += record.acquisitions.load(std::memory_order_acquire);
  }
  return found;
}

// One living bearer is enough: an entry is there before the native lock. None seen proves little by itself, for a living thread may have given the
// lock back and taken it again while its record was looked at: two looks around one more at the word must agree, and that thread's count of
// acquisitions with them (docs/model/adopt.pml). "No record and the thread exists: not dead."
bool is_lock_owner_dead(const mapping& where, const lock_bytes& lock, std::uint32_t tid) noexcept {
  if (tid == static_cast<std::uint32_t>(current_tid())) return true;
  const bearers first = find_bearers(where, lock, tid);
  if (first.living) return false;
  if ((native_mutex::word(lock.native) & native_mutex::tid_mask) != tid) return false;
  if (find_bearers(where, lock, tid) != first) return false;
  return first.dead || is_thread_id_free(static_cast<pid_t>(tid));
}

// Who the calling thread is: asked once a process and thread, for the owner_* of internal locks.
struct own_identity {
  std::uint64_t epoch;
  std::uint64_t start_time;
  std::uint32_t pid;
  std::uint32_t tid;
};

const own_identity& myself() noexcept {
  static constinit thread_local own_identity me{};
  if (me.epoch != process_epoch()) {
    me = {process_epoch(), start_time_of(current_tid()), static_cast<std::uint32_t>(current_pid()), static_cast<std::uint32_t>(current_tid())};
  }
  return me;
}

bool this_thread_has_robust_list() noexcept {
  static thread_local std::uint64_t epoch = 0;
  if (epoch != process_epoch() && has_robust_list()) epoch = process_epoch();
  return epoch == process_epoch();
}

// Only a participant's thread can have an internal lock. So a thread id that is none's is a dead one, or damage. The lock's owner_* prove no death: they
// are written after the native lock, and until then are a former owner's, who may have borne the same id.
bool is_internal_owner_dead(const mapping& where, std::uint32_t tid) noexcept {
  return !participants::has_thread(where, tid);
}

// 0 or EOWNERDEAD; EDEADLK when the word has the calling thread's id. `adopt` finishes the kernel's work between two slices.
template <class Adopt>
int lock_in_slices(pthread_mutex_t& mutex, Adopt adopt) noexcept {
  int rc = native_mutex::try_lock(mutex);
  while (rc == EBUSY || rc == ETIMEDOUT) {
    rc = native_mutex::lock_until(mutex, std::chrono::steady_clock::now() + slice);
    if (rc == ETIMEDOUT) adopt();
  }
  return rc;
}

// The adoption mutex itself can be an orphan only where the kernel's walk did not come to the lock that was taken last. It is adopted
// without a further mutex: two adopters and a reuse of the thread id between their looks would be needed to do harm.
class adoption_hold {
 public:
  explicit adoption_hold(mapping& where) noexcept : mutex_(where.header().adoption.native) {
    if (!native_mutex::is_intact(mutex_)) return;
    const auto adopt_orphan = [&] {
      const std::uint32_t word = native_mutex::word(mutex_);
      const std::uint32_t tid = word & native_mutex::tid_mask;
      // It is not taken twice by one thread: this thread's id is a former bearer's (U6).
      const bool orphan = tid == static_cast<std::uint32_t>(current_tid()) || (tid != 0 && is_internal_owner_dead(where, tid));
      if (is_nobodys(word) || orphan) native_mutex::adopt(mutex_, word);
    };
    int rc = lock_in_slices(mutex_, adopt_orphan);
    if (rc == EDEADLK) {
      adopt_orphan();
      rc = lock_in_slices(mutex_, adopt_orphan);
    }
    if (rc == EOWNERDEAD) native_mutex::consistent(mutex_);  // it guards no bytes
    held_ = rc == 0 || rc == EOWNERDEAD;
  }
  adoption_hold(const adoption_hold&) = delete;
  adoption_hold& operator=(const adoption_hold&) = delete;
  ~adoption_hold() {
    if (held_) native_mutex::unlock(mutex_);
  }
  [[nodiscard]] explicit operator bool() const noexcept { return held_; }

 private:
  pthread_mutex_t& mutex_;
  bool held_ = false;
};

template <class IsDead>
bool adopt_word(mapping& where, pthread_mutex_t& mutex, IsDead is_dead) noexcept {
  // A first look without the mutex: most blocked lockers wait for a living owner.
  std::uint32_t word = native_mutex::word(mutex);
  if ((word & native_mutex::tid_mask) == 0) return !is_nobodys(word) || native_mutex::adopt(mutex, word);
  if (!is_dead(word & native_mutex::tid_mask)) return false;

  const adoption_hold hold(where);
  if (!hold) return false;
  word = native_mutex::word(mutex);
  const std::uint32_t tid = word & native_mutex::tid_mask;
  if (tid == 0) return true;
  return is_dead(tid) && native_mutex::adopt(mutex, word);
}

}  // namespace

bool adopt_if_orphan(mapping& where, lock_bytes& lock) noexcept {
  const std::uint32_t word = native_mutex::word(lock.native);
  if (is_nobodys(word)) return native_mutex::adopt(lock.native, word);
  if ((word & native_mutex::tid_mask) == 0) {
    // Free, and yet somebody waited a whole slice: a waiter that had been woken was killed (hazard A16). Pass the wake on.
    native_mutex::wake_one(lock.native);
    return true;
  }
  return adopt_word(where, lock.native, [&](std::uint32_t tid) { return is_lock_owner_dead(where, lock, tid); });
}

bool adopt_liveness_if_orphan(mapping& where, std::uint32_t index) noexcept {
  thread_record& record = where.record(index);
  return adopt_word(where, record.liveness, [&](std::uint32_t tid) {
    // Not by the record's identity: a claimer with a reused id holds the mutex before it has written its own. It is a participant's thread.
    return tid != static_cast<std::uint32_t>(current_tid()) && !participants::has_thread(where, tid);
  });
}

internal_guard::internal_guard(mapping& where, internal_lock& lock, const char* name) : lock_(lock), epoch_(process_epoch()) {
  where.participant_index();  // a judge must find our process in the table
  if (!this_thread_has_robust_list()) {
    fail(errc::no_robust_list, where.describe() + ": found that the kernel has no robust list of this thread, expected one");
  }
  if (!native_mutex::is_intact(lock.native)) {
    fail(errc::damaged, where.describe() + ": found no mutex in the bytes of its " + name + " lock, expected a robust one");
  }
  const own_identity& me = myself();
  const auto adopt = [&] {
    // With this thread's own id it is a former bearer's: this thread is outside, see below.
    adopt_word(where, lock.native, [&](std::uint32_t tid) { return tid == me.tid || is_internal_owner_dead(where, tid); });
  };
  int rc = lock_in_slices(lock.native, adopt);
  if (rc == EDEADLK) {
    // A holder writes who it is before it does anything else.
    if (lock.owner_tid.load(std::memory_order_relaxed) == me.tid && lock.owner_start_time.load(std::memory_order_relaxed) == me.start_time) {
      fail(errc::deadlock,
           where.describe() + ": found this thread inside its " + name + " already, expected it outside (a constructor that uses it?)");
    }
    adopt();
    rc = lock_in_slices(lock.native, adopt);
  }
  if (rc != 0 && rc != EOWNERDEAD) {
    fail(errc::damaged, where.describe() + ": pthread says " + std::to_string(rc) + " to its " + name + " lock, expected 0 or EOWNERDEAD");
  }
  owner_died_ = marked_ = rc == EOWNERDEAD;
  lock.owner_pid.store(me.pid, std::memory_order_relaxed);
  lock.owner_start_time.store(me.start_time, std::memory_order_relaxed);
  crash_barrier();  // owner_tid tells that the two above are the holder's
  lock.owner_tid.store(me.tid, std::memory_order_release);
}

void internal_guard::mended() noexcept {
  if (marked_) native_mutex::consistent(lock_.native);
  marked_ = false;
}

internal_guard::~internal_guard() {
  if (process_epoch() != epoch_) return;  // a child that was forked inside: the lock is its parent's
  mended();                               // never leave through ENOTRECOVERABLE (hazard A37); what could not be mended was told by an error
  lock_.owner_tid.store(0, std::memory_order_relaxed);
  crash_barrier();  // nobody is named before somebody else can be
  native_mutex::unlock(lock_.native);
}

}  // namespace outlive::detail
