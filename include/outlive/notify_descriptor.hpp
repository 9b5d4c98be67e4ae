// notify_descriptor: a descriptor that becomes readable when a queue has a job or a free slot, when
// a pool has a permit, or when a condition variable is notified: for poll, epoll and asio.
//
//   outlive::notify_descriptor jobs = outlive::notify_descriptor::for_jobs(queue);
//   // in the event loop, when jobs.fd() is readable:
//   jobs.acknowledge();
//   while (auto job = queue.try_pop()) { work(*job); job.done(); }
//
// A descriptor belongs to one process, and those who push belong to others: they wake sleepers by
// futexes, and know nothing of descriptors. So a thread of this process sleeps for the program, and
// writes to the descriptor. That costs
//   - a thread and an eventfd for each object of this class; the thread has all signals blocked,
//     and needs no thread record;
//   - two changes of threads for each time that it becomes readable, and for those who push what a
//     worker costs that sleeps in pop(): one system call while the thread sleeps;
//   - a look at the slots or permits at each wake-up, and 4 times a second.
//
// It says that something was there, not that it still is: another worker may be faster. After
// acknowledge() the thread looks anew, so nothing that is left, or comes later, is missed. It takes
// nothing itself. A wake-up that was meant for one sleeper may go to this thread: then, if the
// program does not come, the others look within 250 ms, as they do when a woken thread dies.
//
// After fork: the child has no such thread. There fd() is -1, and acknowledge() does nothing: make
// another one. On death nothing is left behind: nobody waits for a descriptor. What the dead had is
// seen within 250 ms.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <chrono>
#include <cstdint>
#include <memory>

#include <outlive/detail/export.hpp>
#include <outlive/permit_pool.hpp>
#include <outlive/robust_condition_variable.hpp>
#include <outlive/work_queue.hpp>

namespace outlive {

namespace detail {
class notify_thread;
struct notify_access;
}  // namespace detail

class notify_descriptor {
 public:
  // Readable when there is a job, or a closed queue has come to its end. Then try_pop().
  // Requires, as all of these: the object exists until this one ends. The segment stays open.
  // Errors, of all of these: errc::not_in_segment; the system's if there is no descriptor or no
  //   thread left. Blocks: never.
  template <class T, std::uint32_t Capacity>
  [[nodiscard]] static notify_descriptor for_jobs(work_queue<T, Capacity>& queue) {
    return notify_descriptor(queue.head_, queue.shape, true);
  }
  // Readable when there is a free slot, or the queue is closed. Then try_push().
  template <class T, std::uint32_t Capacity>
  [[nodiscard]] static notify_descriptor for_slots(work_queue<T, Capacity>& queue) {
    return notify_descriptor(queue.head_, queue.shape, false);
  }
  // Readable when a permit is free. Then try_acquire().
  template <std::uint32_t Most>
  [[nodiscard]] static notify_descriptor for_permits(permit_pool<Most>& pool) {
    return notify_descriptor(pool.head_, Most);
  }
  // Readable when it was notified since this object was made, or since the last acknowledge(). Look
  // at what you wait for after both, with the mutex held, as a waiter does. Readable after 250 ms
  // at the latest: the notifier may have died after its change. notify_one() may wake this thread
  // in place of a waiter, which then looks within 250 ms.
  [[nodiscard]] OUTLIVE_API static notify_descriptor for_notifications(
      robust_condition_variable& condition);

  OUTLIVE_API notify_descriptor(notify_descriptor&&) noexcept;
  OUTLIVE_API notify_descriptor& operator=(notify_descriptor&&) noexcept;
  // Ends the thread. Blocks: until it has ended, which nobody can hold up.
  OUTLIVE_API ~notify_descriptor();

  // Returns: the descriptor, which stays this object's. -1 in a forked child, and once the program
  //   has closed it.
  [[nodiscard]] OUTLIVE_API int fd() const noexcept;

  // Makes the descriptor unreadable until there is something again, or still. Call it before you
  // take what is there.
  // Blocks: never. One thread at a time.
  OUTLIVE_API void acknowledge() noexcept;

 private:
  friend struct detail::notify_access;
  // Readable after `slice` at the latest.
  static notify_descriptor for_notifications(robust_condition_variable& condition,
                                             std::chrono::nanoseconds slice);
  OUTLIVE_API notify_descriptor(detail::work_queue_head& queue,
                                const detail::work_queue_shape& shape, bool jobs);
  OUTLIVE_API notify_descriptor(detail::permit_pool_head& pool, std::uint32_t words);
  explicit notify_descriptor(std::unique_ptr<detail::notify_thread> thread) noexcept;
  std::unique_ptr<detail::notify_thread> thread_;
};

}  // namespace outlive
