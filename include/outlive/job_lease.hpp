// lease: the hold on a job that a work_queue gave out; and dead_letter, the hold on one that was
// tried too often. work_queue.hpp says how they are used.
//
// Both belong to the thread that popped: another thread, or a forked child, can look, and nothing
// else (errc::not_owner). Both are movable, and give the job back when they end, so that an
// exception in a worker is a failed try and no lost job. When the thread dies, its leases are void
// at once: nobody has to notice.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include <outlive/export.hpp>

namespace outlive {

// A thread that had a job and died with it. pid and start time name one thread for ever.
struct job_holder {
  // False: it died before it had named itself, and its record was reused; the rest is 0 then.
  bool known = false;
  pid_t pid = 0;
  pid_t tid = 0;
  // Of the thread, in clock ticks since boot, as in /proc/TID/stat.
  std::uint64_t start_time = 0;
};

namespace detail {

struct work_queue_head;
// What a queue's type says of its slots.
struct work_queue_shape {
  std::uint32_t capacity;
  std::uint32_t job_bytes;
  std::uint32_t history_at;  // offset in a slot
  std::uint32_t slot_bytes;
};
inline constexpr std::uint32_t max_job_history = 8;

struct held_job {
  work_queue_head* queue = nullptr;
  const work_queue_shape* shape = nullptr;
  std::uint32_t slot = 0;
  std::uint64_t state = 0;  // what stands in the slot's word as long as the job is this thread's
};
[[nodiscard]] OUTLIVE_API const void* bytes_of(const held_job& job) noexcept;
[[nodiscard]] OUTLIVE_API unsigned tries_of(const held_job& job) noexcept;
[[nodiscard]] OUTLIVE_API std::vector<job_holder> history_of(const held_job& job);
// Return: whether it was the calling thread's.
[[nodiscard]] OUTLIVE_API bool finish_job(const held_job& job) noexcept;
[[nodiscard]] OUTLIVE_API bool return_job(const held_job& job) noexcept;
[[nodiscard]] OUTLIVE_API bool retry_job(const held_job& job) noexcept;
[[noreturn]] OUTLIVE_API void throw_not_lease_holder();

// What a lease and a dead letter have in common.
class job_hold {
 public:
  job_hold() noexcept = default;
  explicit job_hold(const held_job& job) noexcept : job_(job) {}
  job_hold(job_hold&& other) noexcept : job_(std::exchange(other.job_, {})) {}
  job_hold& operator=(job_hold&& other) noexcept {
    if (this != &other) {
      drop();
      job_ = std::exchange(other.job_, {});
    }
    return *this;
  }
  ~job_hold() { drop(); }

  // Returns: whether it holds a job: false after a pop that found none, after done() and the like,
  //   after a move.
  explicit operator bool() const noexcept { return job_.queue != nullptr; }

  // Returns: how often the job was handed out, this lease included: 1 the first time. Requires: it
  //   holds one.
  [[nodiscard]] unsigned tries() const noexcept { return tries_of(job_); }

  // Returns: the threads that died with the job, oldest first. Tries that were given back are not
  //   among them. Requires: it holds one.
  // Errors: std::bad_alloc.
  [[nodiscard]] std::vector<job_holder> died_on_it() const { return history_of(job_); }

  // Takes the job out of the queue for ever; its slot is free, and one producer that waits for one
  // is woken.
  // Errors: errc::not_owner when it is not the calling thread's (in another thread, in a forked
  //   child), or when this object holds none; then nothing is changed. Blocks: never. Signal-safe:
  //   no.
  // Order: whoever pushes into the slot synchronises with it.
  void done() {
    if (job_.queue == nullptr || !finish_job(job_)) throw_not_lease_holder();
    job_ = {};
  }

 protected:
  void end_by(bool (*change)(const held_job&)) {
    if (job_.queue == nullptr || !change(job_)) throw_not_lease_holder();
    job_ = {};
  }
  held_job job_;

 private:
  // In a forked child, or another thread, it is not ours: then there is nothing to give back.
  void drop() noexcept {
    if (job_.queue != nullptr) static_cast<void>(return_job(job_));
    job_ = {};
  }
};

template <class T>
class typed_job_hold : public job_hold {
 public:
  using job_hold::job_hold;
  // The job. It stays as it was pushed: whoever gets it next must find it so. Requires: this object
  // holds one.
  [[nodiscard]] const T& operator*() const noexcept {
    return *std::launder(static_cast<const T*>(bytes_of(job_)));
  }
  [[nodiscard]] const T* operator->() const noexcept { return &**this; }
};

}  // namespace detail

// A job that is this thread's to do. When it ends without done(), it gives the job back.
template <class T>
class [[nodiscard]] lease : public detail::typed_job_hold<T> {
 public:
  using detail::typed_job_hold<T>::typed_job_hold;

  // Puts the job back at once: somebody gets it soon, or, if it has been tried as often as the
  // queue allows, it is a dead letter now.
  // Errors, Blocks: as done().
  void give_back() { this->end_by(&detail::return_job); }
};

// A dead letter that this thread has in hand. When it ends without done() or retry(), or dies, it
// is a dead letter again.
template <class T>
class [[nodiscard]] dead_letter : public detail::typed_job_hold<T> {
 public:
  using detail::typed_job_hold<T>::typed_job_hold;

  // Puts the job back into the queue as if it had just been pushed: no tries, nobody who died on
  // it. Killed in the middle, it stays a dead letter, perhaps without the names of those who died.
  // Errors, Blocks: as done().
  void retry() { this->end_by(&detail::retry_job); }
};

}  // namespace outlive
