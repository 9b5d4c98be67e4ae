#include "directory/internal_guard.hpp"

#include "error/failure.hpp"
#include "records/adoption.hpp"
#include "records/participants.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/fork_epoch.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

bool this_thread_has_robust_list() noexcept {
  static thread_local std::uint64_t epoch = 0;
  if (epoch != process_epoch() && has_robust_list()) epoch = process_epoch();
  return epoch == process_epoch();
}

internal_kind kind_of(const mapping& map, const internal_lock& lock) noexcept {
  return &lock == &map.header().directory ? internal_kind::directory : internal_kind::names;
}

struct internal_judge {
  mapping& map;
  internal_lock& lock;
  const own_identity& me;

  // A holder writes its identity before anything else.
  bool owns() const noexcept {
    return lock.owner_tid.load(std::memory_order_relaxed) == me.tid &&
           lock.owner_start_time.load(std::memory_order_relaxed) == me.start_time;
  }
  static bool is_look_due_at_once() noexcept { return false; }
  static void on_first_wait() noexcept {}
  adoption adopt(const deadline& limit) noexcept {
    return adopt_internal_if_orphan(map, lock, kind_of(map, lock), limit);
  }
};

}  // namespace

internal_guard::internal_guard(mapping& map, internal_lock& lock, const char* name)
    : lock_(lock), epoch_(process_epoch()), named_(map, kind_of(map, lock)) {
  // if no entrant can be named, a judge must find our process in the table
  participants::own_index(map);
  if (!this_thread_has_robust_list()) {
    fail(errc::no_robust_list,
         map.describe() +
             ": found that the kernel has no robust list of this thread, expected one "
             "(does a seccomp filter drop set_robust_list?)");
  }
  if (!native_mutex::is_intact(lock.native)) {
    fail(errc::damaged, map.describe() + ": found no mutex in the bytes of its " + name +
                            " lock, expected a robust one");
  }
  const own_identity& me = myself();
  internal_judge judge{map, lock, me};
  const native_result result =
      lock_natively(lock.native, native_mutex::try_lock(lock.native), no_limit, judge);
  if (result == native_result::own) {
    fail(errc::deadlock, map.describe() + ": found this thread inside its " + name +
                             " already, expected it outside (a constructor that uses it?)");
  }
  if (!is_acquired(result)) {
    fail(errc::damaged, map.describe() + ": found overwritten bytes in its " + name +
                            " lock or its adoption lock, expected robust mutexes");
  }
  owner_died_ = result == native_result::inherited;
  lock.owner_start_time.store(me.start_time, std::memory_order_relaxed);
  crash_barrier();  // owner_tid says that owner_start_time is the holder's
  lock.owner_tid.store(me.tid, std::memory_order_release);
  named_.count();
}

void internal_guard::mark_consistent() noexcept {
  if (owner_died_) native_mutex::consistent(lock_.native);
  owner_died_ = false;
}

internal_guard::~internal_guard() {
  // a forked child: the lock is its parent's
  if (process_epoch() != epoch_) return;
  // never leave through ENOTRECOVERABLE (hazard A37); what could not be repaired was an error
  mark_consistent();
  lock_.owner_tid.store(0, std::memory_order_relaxed);
  crash_barrier();  // the name is gone before another can be written
  native_mutex::unlock(lock_.native);
}

}  // namespace outlive::detail
