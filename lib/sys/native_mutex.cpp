#include "sys/native_mutex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "sys/crash_barrier.hpp"
#include "sys/futex.hpp"
#include "sys/sanitizers.hpp"

namespace outlive::detail {

static_assert(native_mutex::tid_mask == FUTEX_TID_MASK);
static_assert(native_mutex::owner_died == FUTEX_OWNER_DIED);
static_assert(native_mutex::waiters == FUTEX_WAITERS);

namespace {

// Index of the futex word in pthread_mutex_t, in ints: glibc's __lock, musl's _m_lock.
#ifdef __GLIBC__
constexpr std::size_t word_index = 0;
#else
constexpr std::size_t word_index = 1;
#endif

std::uint32_t* int_at(pthread_mutex_t& mutex, std::size_t index) noexcept {
  return reinterpret_cast<std::uint32_t*>(&mutex) + index;
}

std::uint32_t read_int(const pthread_mutex_t& mutex, std::size_t index) noexcept {
  return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(&mutex) + index, __ATOMIC_ACQUIRE);
}

void check(int rc, const char* what) {
  if (rc != 0) throw std::system_error(rc, std::generic_category(), what);
}

class robust_attributes {
 public:
  robust_attributes() {
    check(pthread_mutexattr_init(&attributes_), "pthread_mutexattr_init");
    check(pthread_mutexattr_setpshared(&attributes_, PTHREAD_PROCESS_SHARED),
          "pthread_mutexattr_setpshared");
    check(pthread_mutexattr_setrobust(&attributes_, PTHREAD_MUTEX_ROBUST),
          "pthread_mutexattr_setrobust");
    check(pthread_mutexattr_settype(&attributes_, PTHREAD_MUTEX_ERRORCHECK),
          "pthread_mutexattr_settype");
  }
  const pthread_mutexattr_t* get() const noexcept { return &attributes_; }

 private:
  pthread_mutexattr_t attributes_;
};

#ifndef OUTLIVE_TSAN
// Locking and unlocking any other robust mutex makes glibc forget the pending entry. On a private
// mutex of the thread that costs two uncontended atomic operations and no system call.
void clear_pending() noexcept {
  struct private_mutex {
    pthread_mutex_t mutex;
    private_mutex() noexcept {
      pthread_mutexattr_t attributes;
      pthread_mutexattr_init(&attributes);
      pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
      pthread_mutex_init(&mutex, &attributes);
    }
  };
  static thread_local private_mutex own;
  pthread_mutex_lock(&own.mutex);
  pthread_mutex_unlock(&own.mutex);
}

timespec to_timespec(native_mutex::steady_point deadline) noexcept {
  using namespace std::chrono;
  // A time before the clock's start would be a negative number of nanoseconds, which pthread
  // refuses.
  const auto since = std::max(deadline, native_mutex::steady_point()).time_since_epoch();
  const auto whole = duration_cast<seconds>(since);
  return {static_cast<time_t>(whole.count()),
          static_cast<long>(duration_cast<nanoseconds>(since - whole).count())};
}
#endif

}  // namespace

void native_mutex::init(pthread_mutex_t& mutex) {
  // not static: after a fork during its first use, the child would wait for it for ever
  const robust_attributes attributes;
  check(pthread_mutex_init(&mutex, attributes.get()),
        "pthread_mutex_init of a robust process-shared mutex");
  if (!is_intact(mutex))
    check(ENOTSUP,
          "found another kind of robust mutex in this C library than the one that outlive knows");
}

int native_mutex::lock_until(pthread_mutex_t& mutex, steady_point deadline) noexcept {
  if (!is_intact(mutex)) return EINVAL;
#ifdef OUTLIVE_TSAN
  // ThreadSanitizer has no model of clocklock and reports false races (hazard A64). It knows
  // trylock.
  for (;;) {
    const int rc = try_lock(mutex);
    if (rc == EBUSY && owner_in(word(mutex)) == static_cast<pid_t>(syscall(SYS_gettid)))
      return EDEADLK;
    if (rc != EBUSY) return rc;
    if (std::chrono::steady_clock::now() >= deadline) return ETIMEDOUT;
    const timespec nap{0, 200'000};
    syscall(SYS_nanosleep, &nap, nullptr);  // libc's is a cancellation point
  }
#else
  const timespec until = to_timespec(deadline);
  const int rc = pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &until);
  if (rc != 0 && rc != EOWNERDEAD) clear_pending();
  return rc;
#endif
}

std::uint32_t native_mutex::word(const pthread_mutex_t& mutex) noexcept {
  return read_int(mutex, word_index);
}

bool native_mutex::adopt(pthread_mutex_t& mutex, std::uint32_t seen) noexcept {
  std::uint32_t* const word = int_at(mutex, word_index);
  const std::uint32_t marked = (seen & waiters) | owner_died;
  if (!__atomic_compare_exchange_n(word, &seen, marked, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return false;
  futex_wake(word, 1);
  return true;
}

void native_mutex::always_wake(pthread_mutex_t& mutex) noexcept {
  __atomic_fetch_or(int_at(mutex, word_index), waiters, __ATOMIC_RELAXED);
}

void native_mutex::wake_one(pthread_mutex_t& mutex) noexcept {
  futex_wake(int_at(mutex, word_index), 1);
}

// The kind is corrected for the call. Otherwise the mutex would stay in this thread's robust list,
// in memory that may be unmapped. A death before the last store leaves an intact mutex.
void native_mutex::unlock_changed(pthread_mutex_t& mutex) noexcept {
  char* const at = reinterpret_cast<char*>(&mutex) + kind_at;
  int changed;
  std::memcpy(&changed, at, sizeof changed);
  restore_kind(mutex);
  crash_barrier();  // corrected before libc reads it
  pthread_mutex_unlock(&mutex);
  crash_barrier();
  std::memcpy(at, &changed, sizeof changed);
}

bool has_robust_list() noexcept {
  void* head = nullptr;
  std::size_t length = 0;
  return syscall(SYS_get_robust_list, 0, &head, &length) == 0 && head != nullptr;
}

}  // namespace outlive::detail
