// The thread behind a notify_descriptor sleeps as the threads do for which it stands: in slices, on
// the same word, with the same mark before its last look (wait_word.hpp). So every change, and
// every death, that wakes one of those or that it finds by itself does the same here. It takes
// nothing: nothing is in the segment that a death could leave.
#include <outlive/notify_descriptor.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <system_error>
#include <utility>

#include "companions/holder.hpp"
#include "companions/job_slots.hpp"
#include "companions/lease_limit.hpp"
#include "companions/wait_word.hpp"
#include "directory/directory.hpp"
#include "sys/event_set.hpp"
#include "sys/futex.hpp"
#include "sys/helper_thread.hpp"
#include "sys/membarrier.hpp"

namespace outlive {

namespace detail {

namespace {

// What a thread can do with a queue: lease a job or find its end, or fill a slot or find it closed.
// `nap` becomes the time until the next delayed job is due, or a lease is over, if that is sooner.
bool has_job(const mapping& map, const job_slots& slots, kernel_answers* kernel,
             std::chrono::nanoseconds& nap) noexcept {
  // Before the look at the slots (J5).
  const bool closed = slots.is_closed();
  bool at_end = true;
  std::uint64_t over = ~std::uint64_t{0};
  nap = std::min(nap, longest_nap(slots));
  for (std::uint32_t slot = 0; slot < slots.shape.capacity; ++slot) {
    switch (use_at(map, slots.queue.max_tries, slots, slot, slots.read(slot), kernel, over)) {
      case slot_use::waiting: return true;
      case slot_use::delayed: {
        const std::uint64_t time = slots.time(slot).load(std::memory_order_relaxed);
        const std::uint64_t now = monotonic_now();
        if (time <= now) return true;
        over = std::min(over, time);
        at_end = false;
        break;
      }
      case slot_use::filling:
      case slot_use::leased: at_end = false; break;
      case slot_use::vacant:
      case slot_use::dead_letter:
      case slot_use::examined:
      case slot_use::unknown: break;
    }
  }
  if (const std::uint64_t now = monotonic_now();
      over != ~std::uint64_t{0} &&
      (over <= now || over - now < static_cast<std::uint64_t>(nap.count())))
    nap = std::chrono::nanoseconds(over <= now ? 0 : over - now);
  return closed && at_end;
}

bool has_slot(const mapping& map, const job_slots& slots, kernel_answers* kernel) noexcept {
  if (slots.is_closed()) return true;
  for (std::uint32_t slot = 0; slot < slots.shape.capacity; ++slot) {
    if (use_of(map, slots.queue.max_tries, slots.read(slot), kernel) == slot_use::vacant)
      return true;
  }
  return false;
}

}  // namespace

class notify_thread {
 public:
  using look = std::function<bool(bool thoroughly, std::chrono::nanoseconds& longest_nap)>;

  // `there`: whether there is something, and how long it may sleep if not; empty for a condition
  // variable, which only counts. There `slice` is how long it sleeps at most.
  notify_thread(std::shared_ptr<mapping> map, shared_u32& word, look there,
                std::chrono::nanoseconds slice = deadline::slice)
      : map_(std::move(map)), word_(word), there_(std::move(there)), slice_(slice) {
    if (!there_) counted_ = count_now();
    thread_.emplace([this](const std::stop_token& stop) { run(stop); });
  }

  [[nodiscard]] int fd() const noexcept { return thread_->is_parents() ? -1 : ready_.ours(); }

  void acknowledge() noexcept {
    if (thread_->is_parents()) return;
    ready_.acknowledge();
    // Before the caller looks: each later notification finds the mark, and counts.
    if (!there_) counted_.store(count_now(), std::memory_order_seq_cst);
    acknowledged_.fetch_add(1, std::memory_order_seq_cst);
    futex_wake(acknowledged_, 1);
  }

 private:
  class event : public wake_up {
   public:
    [[nodiscard]] int ours() const noexcept { return source_.get_if_ours(); }
  };

  [[nodiscard]] std::uint32_t count_now() const noexcept {
    return wait_word::mark(word_) & ~wait_word::maybe_waiters;
  }

  void run(const std::stop_token& stop) {
    const std::stop_callback wake(stop, [this]() noexcept {
      wait_word::wake_all(word_);
      acknowledged_.fetch_add(1, std::memory_order_seq_cst);
      futex_wake(acknowledged_, 1);
    });
    while (!stop.stop_requested()) {
      wait_until_there(stop);
      if (stop.stop_requested()) return;
      const std::uint32_t before = acknowledged_.load(std::memory_order_seq_cst);
      ready_.notify();
      while (acknowledged_.load(std::memory_order_seq_cst) == before && !stop.stop_requested())
        futex_wait(acknowledged_, before, std::chrono::hours(1));
    }
  }

  void wait_until_there(const std::stop_token& stop) {
    if (!there_) {
      // A slice at most: a notifier may have died between its change and its notification.
      const std::uint32_t seen = wait_word::mark(word_);
      if ((seen & ~wait_word::maybe_waiters) == counted_.load(std::memory_order_seq_cst) &&
          !stop.stop_requested())
        futex_wait(word_, seen, slice_);
      return;
    }
    try {
      // As a thread that acquires a permit does, for releases by plain stores.
      const auto see_plain_stores = [&] {
        if (map_->has_plain_marks()) membarrier::barrier();
      };
      std::chrono::nanoseconds nap{};
      const auto there = [&](bool thoroughly) {
        nap = std::chrono::nanoseconds::max();
        return there_(thoroughly, nap);
      };
      wait_word::until(word_, no_limit, there, stop, see_plain_stores, [&] { return nap; });
    } catch (const std::system_error&) {
      // It is damaged: the program's own try says so.
    }
  }

  std::shared_ptr<mapping> map_;  // keeps the word mapped
  shared_u32& word_;
  look there_;
  std::chrono::nanoseconds slice_;
  event ready_;
  std::atomic<std::uint32_t> counted_{0};  // of notifications, at the last acknowledge()
  std::atomic<std::uint32_t> acknowledged_{0};
  std::optional<helper_thread> thread_;  // last: it uses the others, and ends first
};

namespace {

std::unique_ptr<notify_thread> watch_queue(work_queue_head& queue, const work_queue_shape& shape,
                                           bool jobs) {
  auto map = require_in_segment(&queue, "notify descriptor of a work queue");
  const mapping& in = *map;
  return std::make_unique<notify_thread>(
      std::move(map), jobs ? queue.not_empty : queue.not_full,
      [&in, &queue, shape, jobs](bool thoroughly, std::chrono::nanoseconds& nap) {
        kernel_answers answers;
        kernel_answers* const kernel = thoroughly ? &answers : nullptr;
        const job_slots slots{queue, shape};
        return jobs ? has_job(in, slots, kernel, nap) : has_slot(in, slots, kernel);
      });
}

std::unique_ptr<notify_thread> watch_permits(permit_pool_head& pool, std::uint32_t words) {
  auto map = require_in_segment(&pool, "notify descriptor of a permit pool");
  return std::make_unique<notify_thread>(std::move(map), pool.seq,
                                         [&pool, words](bool, std::chrono::nanoseconds&) {
                                           return count_free_permits(pool, words) > 0;
                                         });
}

}  // namespace

}  // namespace detail

using namespace detail;

notify_descriptor::notify_descriptor(std::unique_ptr<notify_thread> thread) noexcept
    : thread_(std::move(thread)) {}
notify_descriptor::notify_descriptor(work_queue_head& queue, const work_queue_shape& shape,
                                     bool jobs)
    : thread_(watch_queue(queue, shape, jobs)) {}
notify_descriptor::notify_descriptor(permit_pool_head& pool, std::uint32_t words)
    : thread_(watch_permits(pool, words)) {}
notify_descriptor notify_descriptor::for_notifications(robust_condition_variable& condition) {
  return for_notifications(condition, deadline::slice);
}
notify_descriptor notify_descriptor::for_notifications(robust_condition_variable& condition,
                                                       std::chrono::nanoseconds slice) {
  condition.require_intact();
  return notify_descriptor(std::make_unique<notify_thread>(
      require_in_segment(&condition, "notify descriptor of a condition variable"), condition.seq_,
      notify_thread::look{}, slice));
}

notify_descriptor::notify_descriptor(notify_descriptor&&) noexcept = default;
notify_descriptor& notify_descriptor::operator=(notify_descriptor&&) noexcept = default;
notify_descriptor::~notify_descriptor() = default;

int notify_descriptor::fd() const noexcept {
  return thread_->fd();
}

void notify_descriptor::acknowledge() noexcept {
  thread_->acknowledge();
}

}  // namespace outlive
