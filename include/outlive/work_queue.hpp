// work_queue: jobs for several processes. No job is lost when the process that has it dies.
//
// A pipe, or a message queue, forgets a message when it hands it out: a worker that dies takes its
// job with it. Here a worker gets a lease. If the worker dies before done(), the job is handed out
// again without anybody's help, with the number of tries and the threads that died on it. After
// max_tries it is a dead letter, so that a job that kills its worker does not kill all workers.
//
//   struct job { long from, to; };
//   auto& jobs = seg.find_or_construct<outlive::work_queue<job, 256>>(
//       "jobs", outlive::work_queue_options{.max_tries = 3});
//   jobs.push({0, 100});    // anywhere
//   auto one = jobs.pop();  // in a worker
//   work(one->from, one->to);
//   one.done();
//
// The promise: every job whose push() returned is acknowledged by done() exactly once, or is a dead
// letter, whichever process is killed at any time. After a death the job is done again, so a job
// that was partly done must be safe to repeat.
//
// The order is first in, first out for one producer and one consumer, and nearly so for several, or
// after a job was handed out again. A repeated job comes early: a returned job is the next. The job
// of a dead worker comes at the latest when the workers have no other job, or have gone round the
// queue once. If all of them sleep, the death wakes none: one looks within 250 ms, or as soon as a
// supervisor, or recover(), has noticed the death and woken them.
//
// No death leaves a state half done:
//
//   killed                                      what is left
//   ------------------------------------------  --------------------------------------------------
//   in push(), before the job is in the queue   nothing
//   in push(), after that                       the job; a sleeping worker that should be woken
//                                                 looks within 250 ms
//   in pop(), before the job is this worker's   the job waits
//   in pop(), after that, or anywhere until     a job of a dead worker: it waits, or is a dead
//     the end of the lease                        letter after max_tries
//   in done(), after the end of the lease       the job is acknowledged; a sleeping producer finds
//                                                 the slot within 250 ms
//   in give_back() or fail(), after the end     a job that waits, or after fail() perhaps a dead
//     of the lease                                letter
//   with a dead letter in hand                  a dead letter
//
// A worker that hangs, or is stopped, keeps its job, unless the queue has a time limit for leases
// (work_queue_options). Sleeping workers wake when a lease is over; nobody else has to notice it.
//
// Dead letters keep their slots until somebody removes them. Nobody needs to look at them, but a
// queue that is full of them accepts no more jobs.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <type_traits>
#include <vector>

#include <outlive/detail/deadline.hpp>
#include <outlive/detail/export.hpp>
#include <outlive/job_lease.hpp>
#include <outlive/shared_type.hpp>

namespace outlive {

class notify_descriptor;

struct work_queue_options {
  // How many tries may fail before the job is a dead letter; 1 to 8. A death is a failed try.
  std::uint32_t max_tries = 3;
  // How long a worker may have a job, up to 365 days. 0: as long as it lives. When the time is over
  // the job is handed out again, or is a dead letter after max_tries, and the worker's late done()
  // is refused. So a worker that hangs or is stopped holds up no job. But two workers may do the
  // job at once, so choose a limit that no healthy worker needs, or extend() the lease. Each pop()
  // allocates memory then, for a copy of the job.
  std::chrono::nanoseconds lease_limit{};
};

// How many slots have a waiting job, including jobs of dead workers, those whose lease is over, and
// those that were given back for a later time; a job of a living worker; a dead letter, including
// those that a thread examines.
struct work_queue_counts {
  std::uint32_t waiting = 0;
  std::uint32_t leased = 0;
  std::uint32_t dead_letters = 0;
  // Of the waiting ones: those whose time has not come.
  std::uint32_t delayed = 0;
};

namespace detail {

// The head of a queue (docs/format.md).
struct alignas(64) work_queue_head {
  std::uint32_t magic;
  std::uint32_t capacity;
  std::uint32_t max_tries;
  std::uint32_t job_bytes;
  std::atomic<std::uint32_t> closed;
  std::uint64_t lease_limit;
  alignas(64) std::atomic<std::uint32_t> not_empty;
  std::atomic<std::uint32_t> overtaken;
  alignas(64) std::atomic<std::uint32_t> not_full;
  alignas(64) std::atomic<std::uint64_t> head;
  alignas(64) std::atomic<std::uint64_t> tail;
};

OUTLIVE_API void make_queue(work_queue_head& queue, const work_queue_shape& shape,
                            const work_queue_options& options);
OUTLIVE_API void end_queue(work_queue_head& queue) noexcept;
OUTLIVE_API void set_queue_closed(work_queue_head& queue, const work_queue_shape& shape,
                                  bool closed);
[[nodiscard]] OUTLIVE_API bool is_queue_closed(const work_queue_head& queue,
                                               const work_queue_shape& shape);
// Return: whether the job was pushed in time; a job, or none if there was none in time.
[[nodiscard]] OUTLIVE_API bool push_job(work_queue_head& queue, const work_queue_shape& shape,
                                        const void* job, const deadline& until,
                                        const std::stop_token& stop);
// Returns: how many of the jobs, which lie one behind the other, were pushed.
[[nodiscard]] OUTLIVE_API std::size_t push_jobs(work_queue_head& queue,
                                                const work_queue_shape& shape, const void* jobs,
                                                std::size_t count, const deadline& until,
                                                const std::stop_token& stop);
[[nodiscard]] OUTLIVE_API held_job pop_job(work_queue_head& queue, const work_queue_shape& shape,
                                           const deadline& until, const std::stop_token& stop);
// Another job for a thread that has just popped one, if there is one near head.
[[nodiscard]] OUTLIVE_API held_job pop_next_job(work_queue_head& queue,
                                                const work_queue_shape& shape) noexcept;
[[nodiscard]] OUTLIVE_API held_job pop_dead_job(work_queue_head& queue,
                                                const work_queue_shape& shape);
[[nodiscard]] OUTLIVE_API work_queue_counts count_jobs(const work_queue_head& queue,
                                                       const work_queue_shape& shape);

}  // namespace detail

// `Capacity`: room for this many jobs, including jobs in progress and dead letters.
template <class T, std::uint32_t Capacity = 1024>
class work_queue {
  static_assert(std::is_trivially_copyable_v<T>,
                "a job is copied byte by byte into memory that other processes read: no strings, "
                "vectors, owners");
  static_assert(
      shareable<T>,
      "a pointer, or what is one, means nothing to another process (<outlive/shared_type.hpp>)");
  static_assert(alignof(T) <= 64, "objects of a segment are aligned to 64 bytes");
  static_assert(Capacity > 0 && Capacity <= 1'048'576, "a queue has 1 to 1,048,576 slots");
  static_assert(
      sizeof(T) <= 1'048'576,
      "a job has at most 1 MiB: put larger data into the segment, and their place into the job");

 public:
  using value_type = T;

  // Makes an empty queue.
  // Requires: the memory lies in a segment that this process has mapped.
  // Errors: errc::not_in_segment, std::errc::invalid_argument unless 1 <= max_tries <= 8 and
  //   0 <= lease_limit <= 365 days.
  explicit work_queue(const work_queue_options& options = {}) {
    detail::make_queue(head_, shape, options);
  }
  // Requires: no thread uses the queue or has a lease.
  ~work_queue() { detail::end_queue(head_); }
  work_queue(const work_queue&) = delete;
  work_queue& operator=(const work_queue&) = delete;

  // Puts a copy of the job into the queue, and wakes one worker if some sleep.
  // Blocks: while there is no free slot.
  // Errors: errc::queue_closed, errc::damaged, errc::type_mismatch (a queue with other slots),
  //   errc::in_repair (it may wait for a thread that waits for the repair); at a thread's first use
  //   of the segment also those of robust_mutex::lock(). Then nothing was pushed.
  // After fork: works in the child. Signal-safe: no.
  // Order: synchronises with the pop that gets the job.
  void push(const T& job) {
    static_cast<void>(detail::push_job(head_, shape, &job, detail::no_limit, {}));
  }
  // The same until stop is requested. Returns: whether it was pushed: false if stop was requested
  // and no slot was free.
  [[nodiscard]] bool push(const T& job, const std::stop_token& stop) {
    return detail::push_job(head_, shape, &job, detail::no_limit, stop);
  }
  // Returns: whether it was pushed: false if no slot was free (in time). Errors: as push();
  //   try_push() is allowed in a repair.
  [[nodiscard]] bool try_push(const T& job) {
    return detail::push_job(head_, shape, &job, detail::no_wait, {});
  }
  // `timeout` is a std::chrono duration, `deadline` a point in time. If that is on another clock
  // than steady_clock, the clock is asked at least every 250 ms. Requires: its now() throws nothing
  // and acquires no lock. A request to stop ends the wait, too.
  [[nodiscard]] bool try_push_for(const T& job, const detail::deadline& timeout,
                                  const std::stop_token& stop = {}) {
    return detail::push_job(head_, shape, &job, timeout, stop);
  }
  [[nodiscard]] bool try_push_until(const T& job, const detail::deadline& deadline,
                                    const std::stop_token& stop = {}) {
    return try_push_for(job, deadline, stop);
  }

  // Pushes several jobs, one after the other, in their order. It is no transaction: workers get the
  // first jobs while the others are being pushed, and if the caller dies, the first so many are in
  // the queue.
  // Blocks: while there is no free slot for the next one.
  // Returns: how many were pushed: fewer than all if a stop was requested, the queue was closed
  //   meanwhile, or no slot was free (in time). Errors: as push(), if no job was pushed.
  std::size_t push_many(std::span<const T> jobs, const std::stop_token& stop = {}) {
    return detail::push_jobs(head_, shape, jobs.data(), jobs.size(), detail::no_limit, stop);
  }
  [[nodiscard]] std::size_t try_push_many(std::span<const T> jobs) {
    return detail::push_jobs(head_, shape, jobs.data(), jobs.size(), detail::no_wait, {});
  }
  [[nodiscard]] std::size_t try_push_many_for(std::span<const T> jobs,
                                              const detail::deadline& timeout,
                                              const std::stop_token& stop = {}) {
    return detail::push_jobs(head_, shape, jobs.data(), jobs.size(), timeout, stop);
  }
  [[nodiscard]] std::size_t try_push_many_until(std::span<const T> jobs,
                                                const detail::deadline& deadline,
                                                const std::stop_token& stop = {}) {
    return try_push_many_for(jobs, deadline, stop);
  }

  // Takes a job from the queue.
  // Blocks: until there is a job, or the worker that has one is dead, or the queue is closed and
  //   all its jobs are done or dead letters.
  // Returns: a lease, which belongs to the calling thread; an empty one at the end of a closed
  //   queue. Errors: as push(), except errc::queue_closed; std::bad_alloc if leases have a time
  //   limit. Then no job was taken.
  // After fork: works in the child, which has none of its parent's leases. Signal-safe: no.
  // Order: synchronises with the push, and with all that dead workers did while they had the job.
  [[nodiscard]] lease<T> pop() { return pop({}); }
  // The same until stop is requested. Returns: a lease, which is also empty if stop was requested
  // and there was no job.
  [[nodiscard]] lease<T> pop(const std::stop_token& stop) {
    return lease<T>(detail::pop_job(head_, shape, detail::no_limit, stop));
  }
  // Return: a lease, which is empty if there was no job (in time). Errors: as pop(); try_pop() is
  //   allowed in a repair.
  // If the kernel did not mark the death of a worker (hazards A1, A23), only a thread that has
  // waited for 250 ms finds its job.
  [[nodiscard]] lease<T> try_pop() {
    return lease<T>(detail::pop_job(head_, shape, detail::no_wait, {}));
  }
  [[nodiscard]] lease<T> try_pop_for(const detail::deadline& timeout,
                                     const std::stop_token& stop = {}) {
    return lease<T>(detail::pop_job(head_, shape, timeout, stop));
  }
  [[nodiscard]] lease<T> try_pop_until(const detail::deadline& deadline,
                                       const std::stop_token& stop = {}) {
    return try_pop_for(deadline, stop);
  }

  // Takes up to `most` jobs. Each has a lease of its own. If the caller dies, each is handed out
  // again.
  // Blocks: as pop(), for the first one; the others are those that are there then.
  // Returns: the leases in the order of their jobs; none where pop() and its forms return an empty
  //   lease, or if `most` is 0. Errors: as pop(); std::bad_alloc. Then no job was taken.
  [[nodiscard]] std::vector<lease<T>> pop_many(std::size_t most, const std::stop_token& stop = {}) {
    return pop_several(most, detail::no_limit, stop);
  }
  [[nodiscard]] std::vector<lease<T>> try_pop_many(std::size_t most) {
    return pop_several(most, detail::no_wait, {});
  }
  [[nodiscard]] std::vector<lease<T>> try_pop_many_for(std::size_t most,
                                                       const detail::deadline& timeout,
                                                       const std::stop_token& stop = {}) {
    return pop_several(most, timeout, stop);
  }
  [[nodiscard]] std::vector<lease<T>> try_pop_many_until(std::size_t most,
                                                         const detail::deadline& deadline,
                                                         const std::stop_token& stop = {}) {
    return pop_several(most, deadline, stop);
  }

  // Closes the queue: from now on push() is refused, in every process, and pop() returns an empty
  // lease once every job is done or a dead letter. Until then idle workers keep waiting: another
  // worker may die, and its job is then handed out again. A job whose push() had begun is either
  // refused or handed out. Closing twice is allowed. The queue stays closed when its processes end,
  // until reopen().
  // Blocks: never. Errors: errc::damaged, errc::type_mismatch. After fork: works in the child.
  //   Killed in it: the queue is open, or closed; a sleeper looks within 250 ms.
  void close() { detail::set_queue_closed(head_, shape, true); }
  void reopen() { detail::set_queue_closed(head_, shape, false); }
  [[nodiscard]] bool closed() const { return detail::is_queue_closed(head_, shape); }

  // Takes a dead letter from the queue, to look at it, remove it or retry it.
  // Blocks: never. But it looks at each slot, and may ask the kernel whether a worker lives.
  // Returns: a dead letter, or an empty hold. Errors: as try_pop().
  [[nodiscard]] dead_letter<T> pop_dead_letter() {
    return dead_letter<T>(detail::pop_dead_job(head_, shape));
  }

  // Returns: the numbers of slots, each looked at once; others change them meanwhile. A job keeps
  //   its slot until it is done. So when nobody pushes or retries any more, and nothing waits or is
  //   leased, then every job is done or a dead letter. Errors: errc::damaged,
  //   errc::type_mismatch.
  [[nodiscard]] work_queue_counts counts() const { return detail::count_jobs(head_, shape); }
  // One of the counts. Two of these calls look twice, and may both miss a job whose worker dies in
  // between.
  [[nodiscard]] std::uint32_t waiting() const { return counts().waiting; }
  [[nodiscard]] std::uint32_t leased() const { return counts().leased; }
  [[nodiscard]] std::uint32_t dead_letters() const { return counts().dead_letters; }
  [[nodiscard]] static constexpr std::uint32_t capacity() noexcept { return Capacity; }
  // Returns: how long a worker may have a job; 0 if as long as it lives.
  [[nodiscard]] std::chrono::nanoseconds lease_limit() const noexcept {
    return detail::lease_limit_of(head_);
  }

 private:
  friend class notify_descriptor;
  [[nodiscard]] std::vector<lease<T>> pop_several(std::size_t most, const detail::deadline& until,
                                                  const std::stop_token& stop) {
    std::vector<lease<T>> taken;
    if (most == 0) return taken;
    taken.reserve(std::min<std::size_t>(most, Capacity));  // so that nothing throws below
    detail::held_job job = detail::pop_job(head_, shape, until, stop);
    while (job.queue != nullptr) {
      taken.emplace_back(job);
      if (taken.size() == most || taken.size() == Capacity) break;
      job = detail::pop_next_job(head_, shape);
    }
    return taken;
  }

  struct alignas(64) slot {
    alignas(T) std::byte job[sizeof(T)];
    std::atomic<std::uint64_t> state{};
    alignas(8) std::byte history[detail::max_job_history * 16];
    std::atomic<std::uint64_t> time{};
  };
  static constexpr detail::work_queue_shape shape{Capacity, sizeof(T), offsetof(slot, state),
                                                  sizeof(slot)};

  detail::work_queue_head head_;
  slot slots_[Capacity];
};

template <class T, std::uint32_t Capacity>
inline constexpr bool shareable<work_queue<T, Capacity>> = true;

namespace detail {
template <class T, std::uint32_t Capacity>
struct wrapped<work_queue<T, Capacity>> {
  using type = T;
  static constexpr std::uint32_t guarded_at = 0;
};
}  // namespace detail

}  // namespace outlive
