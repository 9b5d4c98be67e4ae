// lease and dead_letter: the hold on a job that a work_queue handed out, and on a job that was
// tried too often. work_queue.hpp shows how to use them.
//
// Both belong to the thread that popped them, until hand_over() lets another thread of the process
// take them (<outlive/handed_over.hpp>). Without it another thread, or a forked child, can only
// look at the job (errc::not_owner). Both are movable, and return the job when they end: an
// exception in a worker is a failed try, and any other end is no try at all. When the thread dies,
// its leases are void at once; nobody has to notice the death.
//
// In a queue with a time limit (work_queue_options::lease_limit) a lease is also over when its time
// is, even if its thread lives: then the job is handed out again, and this try counts. From then on
// done() and the like are refused (errc::lease_expired), and change nothing; the object can still
// be read, and its end is silent, in any thread. What the worker has done of the job stays done.
// Until somebody gets the job, a late done() still counts. The time is that of steady_clock, which
// stands still while the machine is suspended. A thread that is stopped inside one of these
// functions, or inside pop(), is not timed.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include <outlive/detail/deadline.hpp>
#include <outlive/detail/export.hpp>
#include <outlive/handed_over.hpp>

namespace outlive {

// A thread that had a job and died with it. pid and start time identify one thread for ever.
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
// What a queue's type says about its slots.
struct work_queue_shape {
  std::uint32_t capacity;
  std::uint32_t job_bytes;
  std::uint32_t state_at;  // offset in a slot
  std::uint32_t slot_bytes;
};
inline constexpr std::uint32_t max_job_history = 8;

struct held_job {
  work_queue_head* queue = nullptr;
  const work_queue_shape* shape = nullptr;
  std::uint32_t slot = 0;
  // Value of the slot's word while the job is this thread's. 0: the lease has a time limit, and
  // `shape` is that of a larger object, which has this value and is the lease's own.
  std::uint64_t state = 0;
};
[[nodiscard]] OUTLIVE_API const void* bytes_of(const held_job& job) noexcept;
[[nodiscard]] OUTLIVE_API unsigned tries_of(const held_job& job) noexcept;
[[nodiscard]] OUTLIVE_API std::vector<job_holder> history_of(const held_job& job);
[[nodiscard]] OUTLIVE_API std::vector<job_holder> ended_tries_of(const held_job& job);
[[nodiscard]] OUTLIVE_API std::chrono::steady_clock::time_point end_of(
    const held_job& job) noexcept;
[[nodiscard]] OUTLIVE_API bool is_over(const held_job& job) noexcept;
[[nodiscard]] OUTLIVE_API std::chrono::nanoseconds lease_limit_of(
    const work_queue_head& queue) noexcept;
// Return: whether the calling thread had the job.
[[nodiscard]] OUTLIVE_API bool extend_job(const held_job& job,
                                          std::chrono::nanoseconds by) noexcept;
[[nodiscard]] OUTLIVE_API bool finish_job(const held_job& job) noexcept;
[[nodiscard]] OUTLIVE_API bool return_job(const held_job& job) noexcept;
[[nodiscard]] OUTLIVE_API bool delay_job(const held_job& job, const deadline& not_before) noexcept;
[[nodiscard]] OUTLIVE_API bool fail_job(const held_job& job) noexcept;
[[nodiscard]] OUTLIVE_API bool retry_job(const held_job& job) noexcept;
// See <outlive/handed_over.hpp>. The first throws as throw_not_held(), and returns nullptr never.
[[nodiscard]] OUTLIVE_API std::shared_ptr<handing> hand_over_job(const held_job& job);
[[nodiscard]] OUTLIVE_API held_job take_over(const held_job& job, handing& by);
OUTLIVE_API void return_handed(const held_job& job, handing& by) noexcept;
// For the end of a hold: a lease fails if an exception ends it, otherwise it is given back.
OUTLIVE_API void drop_job(const held_job& job, bool by_exception) noexcept;
// Throws errc::lease_expired or errc::not_owner.
[[noreturn]] OUTLIVE_API void throw_not_held(const held_job& job);

// The common part of a lease and a dead letter.
class job_hold {
 public:
  using held_type = held_job;
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
  //   and after a move.
  explicit operator bool() const noexcept { return job_.queue != nullptr; }

  // Returns: how often the job was handed out, including this lease: 1 the first time. Tries that
  //   ended by give_back() do not count. Requires: it holds a job.
  [[nodiscard]] unsigned tries() const noexcept { return tries_of(job_); }

  // Returns: the threads that died with the job, oldest first. Tries that ended by fail() are not
  //   among them. Requires: it holds a job; if that is a lease that is over, they may be those of a
  //   later job.
  // Errors: std::bad_alloc.
  [[nodiscard]] std::vector<job_holder> died_on_it() const { return history_of(job_); }
  // Returns: the threads whose leases of the job were ended by the time limit, oldest first.
  //   Requires, Errors: as above.
  [[nodiscard]] std::vector<job_holder> expired_on_it() const { return ended_tries_of(job_); }

  // Removes the job from the queue for ever. Its slot is free, and one producer that waits for a
  // slot wakes.
  // Errors: errc::not_owner if the calling thread does not have the job (another thread, a forked
  //   child), or if this object holds none; errc::lease_expired. Then nothing changes.
  // Blocks: never. Signal-safe: no.
  // Order: the next push into the slot synchronises with it.
  void done() {
    if (job_.queue == nullptr || !finish_job(job_)) throw_not_held(job_);
    job_ = {};
  }

 protected:
  void end_by(bool (*change)(const held_job&)) {
    if (job_.queue == nullptr || !change(job_)) throw_not_held(job_);
    job_ = {};
  }
  held_job job_;

 private:
  // Returns nothing in a forked child or in another thread, which do not own the job. The latter is
  // reported (<outlive/misuse.hpp>), unless the lease was over.
  void drop() noexcept {
    if (job_.queue != nullptr) drop_job(job_, std::uncaught_exceptions() > 0);
    job_ = {};
  }
};

template <class T>
class typed_job_hold : public job_hold {
 public:
  using job_hold::job_hold;
  // The job. It is const, because the next worker must find it as it was pushed. It can be read
  // from any thread as long as this object holds it, even if the thread that popped it has ended
  // and the segment is closed. But then another worker may have the job, or it is done, and the
  // bytes may be those of a later job. A lease with a time limit has its own copy, which is always
  // that job. Requires: this object holds a job.
  [[nodiscard]] const T& operator*() const noexcept {
    return *std::launder(static_cast<const T*>(bytes_of(job_)));
  }
  [[nodiscard]] const T* operator->() const noexcept { return &**this; }
};

}  // namespace detail

// A job that this thread has to do. If it ends without done(), it returns the job: as fail() if an
// exception ends it, otherwise as give_back().
template <class T>
class [[nodiscard]] lease : public detail::typed_job_hold<T> {
 public:
  using detail::typed_job_hold<T>::typed_job_hold;

  // Returns the job untried, for example because this worker stops. It is the next to be handed
  // out, and the try does not count.
  // Errors, Blocks: as done().
  void give_back() { this->end_by(&detail::return_job); }
  // The same, but the job is not handed out before that time: a std::chrono duration from now, or a
  // point in time, whose clock is read in this call alone. Then it comes at the latest when the
  // workers have no other job, or have gone round the queue once. A sleeping worker wakes for it.
  // Killed in it: a job of a dead worker, for which nobody waits any longer.
  void give_back(const detail::deadline& not_before) {
    if (this->job_.queue == nullptr || !detail::delay_job(this->job_, not_before))
      detail::throw_not_held(this->job_);
    this->job_ = {};
  }
  // Lets another thread of this process take the job (<outlive/handed_over.hpp>). This object is
  // empty then.
  // Errors: as done(), std::bad_alloc. Blocks: never. Killed in it: a job of a dead worker.
  [[nodiscard]] handed_over<lease> hand_over() {
    handed_over<lease> handed(this->job_, detail::hand_over_job(this->job_));
    this->job_ = {};
    return handed;
  }
  // Returns the job as a failed try. It is the next to be handed out; after as many tries as the
  // queue allows, it is now a dead letter.
  // Errors, Blocks: as done().
  void fail() { this->end_by(&detail::fail_job); }

  // Returns: when the lease is over; time_point::max() if the queue has no limit, or this object
  //   holds no job. Requires: no other thread uses this object.
  [[nodiscard]] std::chrono::steady_clock::time_point expires_at() const noexcept {
    return detail::end_of(this->job_);
  }
  // Returns: whether its time is over, or was when somebody got the job. A false is true for this
  //   instant alone; a true stays, unless extend() succeeds. Requires: as above.
  [[nodiscard]] bool expired() const noexcept { return detail::is_over(this->job_); }
  // From now on the lease lasts so long, or as long as the queue's limit says; at most 365 days.
  // Without a limit nothing changes. A worker that makes progress extends its lease. Do not do so
  // from a thread that would live on if the worker hung.
  // Errors: as done(). So it succeeds late, if nobody has got the job. Blocks: never.
  // Killed in it: a job of a dead worker. Signal-safe: no.
  void extend() {
    if (this->job_.queue == nullptr) detail::throw_not_held(this->job_);
    extend(detail::lease_limit_of(*this->job_.queue));
  }
  void extend(std::chrono::nanoseconds from_now) {
    if (this->job_.queue == nullptr || !detail::extend_job(this->job_, from_now))
      detail::throw_not_held(this->job_);
  }
};

// A dead letter that this thread examines. If it ends without done() or retry(), or its thread
// dies, the job is a dead letter again.
template <class T>
class [[nodiscard]] dead_letter : public detail::typed_job_hold<T> {
 public:
  using detail::typed_job_hold<T>::typed_job_hold;

  // Puts the job back into the queue as if it had just been pushed: without tries, and without
  // threads that died on it. If the caller is killed meanwhile, the job stays a dead letter,
  // perhaps without the list of the threads that died.
  // Errors, Blocks: as done().
  void retry() { this->end_by(&detail::retry_job); }
  // As lease::hand_over().
  [[nodiscard]] handed_over<dead_letter> hand_over() {
    handed_over<dead_letter> handed(this->job_, detail::hand_over_job(this->job_));
    this->job_ = {};
    return handed;
  }
};

}  // namespace outlive
