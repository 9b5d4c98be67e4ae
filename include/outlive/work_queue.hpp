// work_queue: jobs for several processes, none of which is lost when the process that has it dies.
//
// A pipe, or a message queue, forgets a message when it hands it out: a worker that dies takes its
// job with it. Here a worker gets a lease. A job that was not reported done() when its worker died
// is handed out again, at once and without anybody's help, with the number of tries and who died on
// it; after max_tries it is a dead letter, so that a job that kills whoever does it does not kill
// them all.
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
// letter, whoever is killed whenever. What a worker did for a job before it died is another matter:
// the job is done again, so its effects must bear that.
//
// First in, first out for one producer and one consumer, and nearly so for several, and after a job
// came again. That comes early: one that was given back is the next, one whose worker died comes at
// the latest when the queue is empty or has been gone round once.
//
// Every change is one compare-and-swap of the slot's state, a word that names its holder. So there
// is no state that a death could leave half done, and no mutex (lib/format/job_state.hpp has the
// states):
//
//   killed                                      what is left
//   ------------------------------------------  --------------------------------------------------
//   in push(), before the slot is taken         nothing
//   then, until the job is published            a slot of a dead producer, which is free. The job
//                                                 was not pushed
//   after that                                  the job is in the queue; a sleeper that was to be
//                                                 woken looks within 250 ms
//   in pop(), before the exchange that takes    the job waits
//     the job
//   after it, or anywhere until done()          a job of a dead worker: it waits, or is a dead
//                                                 letter after max_tries
//   in done(), after its exchange               the job is acknowledged; a sleeping producer finds
//                                                 the slot within 250 ms
//   in give_back(), before its exchange         a job of a dead worker, as above
//   in give_back(), after its exchange          a job that waits
//   with a dead letter in hand                  a dead letter
//
// Dead letters keep their slots until somebody takes them: nobody need look, but a queue full of
// them takes no job any more.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <type_traits>

#include <outlive/deadline.hpp>
#include <outlive/export.hpp>
#include <outlive/job_lease.hpp>
#include <outlive/shared_type.hpp>

namespace outlive {

struct work_queue_options {
  std::uint32_t max_tries = 3;  // how often a job is handed out before it is a dead letter; 1 to 8
};

// How many slots have a job that waits, those of dead workers included; one that a living worker
// has; a dead letter, those in somebody's hand included.
struct work_queue_counts {
  std::uint32_t waiting = 0;
  std::uint32_t leased = 0;
  std::uint32_t dead_letters = 0;
};

namespace detail {

// The head of a queue; docs/format.md and lib/format/layout.hpp say who writes what when. Each of
// the last four has a cache line of its own, since different processes write them.
struct alignas(64) work_queue_head {
  std::uint32_t magic;
  std::uint32_t capacity;
  std::uint32_t max_tries;
  std::uint32_t job_bytes;
  alignas(64) std::atomic<std::uint32_t> not_empty;
  alignas(64) std::atomic<std::uint32_t> not_full;
  alignas(64) std::atomic<std::uint64_t> head;
  alignas(64) std::atomic<std::uint64_t> tail;
};

OUTLIVE_API void make_queue(work_queue_head& queue, const work_queue_shape& shape,
                            const work_queue_options& options);
OUTLIVE_API void end_queue(work_queue_head& queue) noexcept;
// Return: whether the job was pushed in time; a job, or none when there was none in time.
[[nodiscard]] OUTLIVE_API bool push_job(work_queue_head& queue, const work_queue_shape& shape,
                                        const void* job, const deadline& until);
[[nodiscard]] OUTLIVE_API held_job pop_job(work_queue_head& queue, const work_queue_shape& shape,
                                           const deadline& until);
[[nodiscard]] OUTLIVE_API held_job pop_job(work_queue_head& queue, const work_queue_shape& shape,
                                           const std::stop_token& stop);
[[nodiscard]] OUTLIVE_API held_job pop_dead_job(work_queue_head& queue,
                                                const work_queue_shape& shape);
[[nodiscard]] OUTLIVE_API work_queue_counts count_jobs(const work_queue_head& queue,
                                                       const work_queue_shape& shape);

}  // namespace detail

// `Capacity`: how many jobs there is room for, those that are being done and dead letters included.
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

  // Makes an empty queue. Requires: the memory lies in a segment that this process has mapped.
  // Errors: errc::not_in_segment, std::errc::invalid_argument unless 1 <= max_tries <= 8.
  explicit work_queue(const work_queue_options& options = {}) {
    detail::make_queue(head_, shape, options);
  }
  // Requires: nobody uses the queue, or has a lease.
  ~work_queue() { detail::end_queue(head_); }
  work_queue(const work_queue&) = delete;
  work_queue& operator=(const work_queue&) = delete;

  // Puts a copy of the job into the queue, and wakes one worker if some sleep. Blocks: while there
  // is no free slot, in slices of 250 ms.
  // Errors: errc::damaged, errc::in_repair (it may wait for a thread that waits for the repair); at
  //   a thread's first use of the segment also those of robust_mutex::lock(). Then nothing was
  //   pushed.
  // After fork: works in the child. Signal-safe: no. Order: synchronises with the pop that gets the
  //   job.
  void push(const T& job) {
    static_cast<void>(detail::push_job(head_, shape, &job, detail::no_limit));
  }
  // Returns: whether it was pushed: false where no slot was free (in time). Errors: as push();
  //   try_push() is allowed in a repair.
  [[nodiscard]] bool try_push(const T& job) {
    return detail::push_job(head_, shape, &job, detail::no_wait);
  }
  template <class Rep, class Period>
  [[nodiscard]] bool try_push_for(const T& job, const std::chrono::duration<Rep, Period>& timeout) {
    return detail::push_job(head_, shape, &job, detail::deadline::after(timeout));
  }
  // A deadline on another clock than steady_clock follows that clock, which is asked at least every
  // 250 ms. Requires: its now() throws nothing and acquires no lock.
  template <class Clock, class Duration>
  [[nodiscard]] bool try_push_until(const T& job,
                                    const std::chrono::time_point<Clock, Duration>& deadline) {
    return detail::push_job(head_, shape, &job, detail::deadline::at(deadline));
  }

  // Takes a job. Blocks: until there is one, or the worker that has one is dead, in slices of 250
  // ms.
  // Returns: a lease, which is the calling thread's. Errors: as push(); then nothing was taken.
  // After fork: works in the child, which has none of its parent's leases. Signal-safe: no.
  // Order: synchronises with the push, and with all that the dead did who had the job before.
  [[nodiscard]] lease<T> pop() { return lease<T>(detail::pop_job(head_, shape, detail::no_limit)); }
  // The same until stop is requested. Returns: a lease, which is empty if it was and there was no
  // job.
  [[nodiscard]] lease<T> pop(const std::stop_token& stop) {
    return lease<T>(detail::pop_job(head_, shape, stop));
  }
  // Return: a lease, which is empty if there was no job (in time). Errors: as pop(); try_pop() is
  // allowed in a repair. A job whose worker died without the kernel's having marked that (an
  // orphan: hazards A1, A23) is found only by who has waited for 250 ms.
  [[nodiscard]] lease<T> try_pop() {
    return lease<T>(detail::pop_job(head_, shape, detail::no_wait));
  }
  template <class Rep, class Period>
  [[nodiscard]] lease<T> try_pop_for(const std::chrono::duration<Rep, Period>& timeout) {
    return lease<T>(detail::pop_job(head_, shape, detail::deadline::after(timeout)));
  }
  template <class Clock, class Duration>
  [[nodiscard]] lease<T> try_pop_until(const std::chrono::time_point<Clock, Duration>& deadline) {
    return lease<T>(detail::pop_job(head_, shape, detail::deadline::at(deadline)));
  }

  // Takes a dead letter in hand, to look at it, and to remove it or to try it once more. Blocks:
  // never, but for the look at each slot, where the kernel may be asked whether a worker lives.
  // Returns: one, or an empty hold. Errors: as try_pop().
  [[nodiscard]] dead_letter<T> pop_dead_letter() {
    return dead_letter<T>(detail::pop_dead_job(head_, shape));
  }

  // Returns: what is in the slots, each looked at once; others change it meanwhile. A job keeps its
  //   slot until it is done. So when nobody pushes or retries any more, and nothing waits and
  //   nothing is leased, then all jobs are done, or dead letters. Errors: errc::damaged.
  [[nodiscard]] work_queue_counts counts() const { return detail::count_jobs(head_, shape); }
  // One of them. Two of these calls are two looks, and a job whose worker dies in between may be in
  // neither.
  [[nodiscard]] std::uint32_t waiting() const { return counts().waiting; }
  [[nodiscard]] std::uint32_t leased() const { return counts().leased; }
  [[nodiscard]] std::uint32_t dead_letters() const { return counts().dead_letters; }
  [[nodiscard]] static constexpr std::uint32_t capacity() noexcept { return Capacity; }

 private:
  struct alignas(64) slot {
    alignas(T) std::byte job[sizeof(T)];
    alignas(8) std::byte history[detail::max_job_history * 16];
  };
  static constexpr detail::work_queue_shape shape{Capacity, sizeof(T), offsetof(slot, history),
                                                  sizeof(slot)};

  detail::work_queue_head head_;
  alignas(64) std::atomic<std::uint64_t> states_[Capacity]{};
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
