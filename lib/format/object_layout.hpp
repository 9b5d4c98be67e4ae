// The shared bytes of locks and their companions, which lie in a segment's directory, and of the
// library's own locks. See layout.hpp.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace outlive::detail {

inline constexpr std::size_t cache_line = 64;
inline constexpr std::size_t native_mutex_bytes = 48;  // 40 on x86-64, 48 on aarch64

// A word that several processes read and write. Lock-free, so that it works across processes.
using shared_u32 = std::atomic<std::uint32_t>;
using shared_u64 = std::atomic<std::uint64_t>;
static_assert(shared_u32::is_always_lock_free && sizeof(shared_u32) == 4);
static_assert(shared_u64::is_always_lock_free && sizeof(shared_u64) == 8);
static_assert(sizeof(pthread_mutex_t) <= native_mutex_bytes);

// ---- robust mutex: the bytes of outlive::robust_mutex ------------------------------------------
// DO NOT CHANGE THESE VALUES: they distinguish locks from other memory.
// "lock": a robust mutex on a native one
inline constexpr std::uint32_t native_lock_magic = 0x6b636f6c;
// "fast": reserved for a lock without a native mutex
inline constexpr std::uint32_t fast_lock_magic = 0x74736166;
// "dead": destroyed
inline constexpr std::uint32_t dead_lock_magic = 0x64616564;

struct alignas(cache_line) lock_bytes {
  pthread_mutex_t native;
  // (L) lock_state.hpp
  shared_u64 state;
  // (C) index into names, with a check: lock_class.hpp
  std::uint32_t lock_class;
  // (C) which kind of lock; zeroed or torn memory has another value (hazards A10, A11)
  shared_u32 magic;
};
static_assert(sizeof(lock_bytes) == cache_line && std::is_standard_layout_v<lock_bytes>);

// ---- robust shared mutex: the bytes of outlive::robust_shared_mutex ----------------------------
// "shrd": the first line is a robust mutex, for its writers
inline constexpr std::uint32_t shared_lock_magic = 0x64726873;

// Gate and state are two words: the gate closes before the writer waits for readers, and the state
// names the writer only afterwards. A reader that finds the gate open after it has marked itself is
// inside. Zeroed memory is no open gate.
inline constexpr std::uint32_t gate_open = 1;
inline constexpr std::uint32_t gate_closed = 2;
// closed, and a writer sleeps on this word until readers have left
inline constexpr std::uint32_t gate_awaited = 3;
// of waiting_readers: a writer sleeps on the word. The other bits count
inline constexpr std::uint32_t writer_asleep = 0x80000000;

struct shared_lock_bytes {
  lock_bytes writers;
  // (L) of the native mutex; a leaving reader changes awaited to closed
  alignas(cache_line) shared_u32 gate;
  // (A) readers that wait for the native mutex. A hint, any value is valid: one that was killed
  // stays counted until a writer notices
  shared_u32 waiting_readers;
};
static_assert(sizeof(shared_lock_bytes) == 2 * cache_line &&
              std::is_standard_layout_v<shared_lock_bytes>);

// ---- robust condition variable: the bytes of outlive::robust_condition_variable ----------------
inline constexpr std::uint32_t condition_magic = 0x646e6f63;       // "cond"
inline constexpr std::uint32_t dead_condition_magic = 0x646e6364;  // "dcnd": destroyed

struct condition_bytes {
  // (A) bit 0: maybe waiters; counts by 2 with each notification that finds the bit
  shared_u32 seq;
  // (C)
  std::uint32_t magic;
};
static_assert(sizeof(condition_bytes) == 8 && std::is_standard_layout_v<condition_bytes>);

// ---- permit pool: the head of an outlive::permit_pool ------------------------------------------
inline constexpr std::uint32_t permit_pool_magic = 0x6d726570;       // "perm"
inline constexpr std::uint32_t dead_permit_pool_magic = 0x6d726464;  // "ddrm": destroyed

// A word for each permit follows: 0 if free, else the holder's record index + 1 (16 bits) and its
// generation (48 bits).
struct alignas(cache_line) permit_pool_bytes {
  shared_u32 seq;         // (A) as in condition_bytes
  std::uint32_t magic;    // (C)
  std::uint32_t permits;  // (C) how many of the words are in use
  std::uint32_t words;    // (C)
  shared_u64 collector;   // (A) 0, or who collects several permits: as the word of a permit
  shared_u32 turn;        // (A) as seq, for threads that wait to be the collector
};
static_assert(sizeof(permit_pool_bytes) == cache_line &&
              std::is_standard_layout_v<permit_pool_bytes>);

// ---- work queue: the head of an outlive::work_queue --------------------------------------------
inline constexpr std::uint32_t work_queue_magic = 0x75657571;       // "queu"
inline constexpr std::uint32_t dead_work_queue_magic = 0x65757164;  // "dque": destroyed
// "quel": a queue whose leases have a time limit. Another magic, so that the others need not ask
inline constexpr std::uint32_t limited_work_queue_magic = 0x6c657571;

// The slots follow: the job's bytes and, at the next multiple of 8, the state word (job_state.hpp)
// and max_job_tries times job_try, and a time (A; lease_clock.hpp). A slot begins at a cache line.
// Job, state and first tries of a small job are in that line, which is all that moves from a
// producer to a consumer and back.
struct alignas(cache_line) work_queue_bytes {
  // (C)
  std::uint32_t magic;
  // (C) slots
  std::uint32_t capacity;
  // (C) 1 to max_job_tries
  std::uint32_t max_tries;
  // (C)
  std::uint32_t job_bytes;
  // (A) 1: no more jobs are pushed, and pop ends when none is left
  shared_u32 closed;
  // (C) ns; 0 unless the magic is that of a limited queue
  std::uint64_t lease_limit;
  // (A) as seq in condition_bytes; consumers sleep on it
  alignas(cache_line) shared_u32 not_empty;
  // (A) how often consumers have passed a slot that a living producer was filling
  shared_u32 overtaken;
  // (A) producers sleep on it
  alignas(cache_line) shared_u32 not_full;
  // (A) where consumers begin to look: lap << 32 | slot. A hint, any value is valid
  alignas(cache_line) shared_u64 head;
  // (A) the same for producers
  alignas(cache_line) shared_u64 tail;
};
static_assert(sizeof(work_queue_bytes) == 5 * cache_line &&
              std::is_standard_layout_v<work_queue_bytes>);

inline constexpr std::uint32_t max_job_tries = 8;
inline constexpr std::uint64_t gave_back = ~std::uint64_t{0};
// Bit of job_try::thread: the time limit ended the lease. No process id needs it.
inline constexpr std::uint64_t lease_ended = std::uint64_t{1} << 63;
inline constexpr std::uint64_t max_lease_limit = std::uint64_t{365} * 24 * 3600 * 1'000'000'000;

// Whether the bytes are a queue that lives.
[[nodiscard]] constexpr bool is_work_queue(std::uint32_t magic) noexcept {
  return magic == work_queue_magic || magic == limited_work_queue_magic;
}

// A holder of a job. Written by the consumer that has the job leased, as the slot's state says. The
// producer empties it while it fills the slot.
struct job_try {
  // pid << 32 | tid, perhaps with lease_ended. 0: not known; gave_back: the job was given back. In
  // these two the start time does not count
  shared_u64 thread;
  // written before thread
  shared_u64 start_time;
};
static_assert(sizeof(job_try) == 16);

// A mutex of the library itself, for data that needs no user's repair. `owner_*` name the thread
// that has it. They are written after the native lock, and before anything else, so they may be
// missing, or those of an earlier owner. A thread that finds its own id in the native word knows by
// them whether it has the lock, or a dead thread with the same id had it.
struct alignas(cache_line) internal_lock {
  union {
    pthread_mutex_t native;
    char native_room[native_mutex_bytes];
  };
  shared_u64 owner_start_time;
  shared_u32 reserved;  // was the owner's pid, which nobody read; may be anything
  shared_u32 owner_tid;

  internal_lock() noexcept : native_room{}, owner_start_time(0), reserved(0), owner_tid(0) {}
};
static_assert(sizeof(internal_lock) == cache_line);

}  // namespace outlive::detail
