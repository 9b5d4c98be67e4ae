// permit_pool: a counting semaphore whose permits come back when their holders die.
//
// With glibc's process-shared semaphore, a process that dies after sem_wait() keeps its unit for
// ever, and nobody can find out whose it was (hazard A63). Here a permit of a dead thread is free
// again without a repair: the next thread that needs one acquires it. A thread that sleeps for one
// looks within 250 ms, or as soon as a supervisor, or recover(), has noticed the death and woken
// it.
//
//   auto& slots =
//       seg.find_or_construct<outlive::permit_pool<16>>("connections", 4);  // 4 of at most 16
//   {
//     const outlive::permit one = slots.acquire();
//     ...
//   }  // released
//
// A permit belongs to the thread that acquired it, and ends with it. permit::hand_over() lets
// another thread of the process take it (<outlive/handed_over.hpp>); a forked child cannot.
//
// acquire_many() acquires several permits, or none. Two threads that each had half of what they
// want would wait for ever, so one thread at a time collects them, and the others wait for their
// turn. A thread that already has permits of a pool and waits for more of it can still bring this
// about.
//
// After a death at any instruction each permit is free, or has a dead holder and so is free for the
// next thread that looks. A thread that the dead one was about to wake looks again within 250 ms.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <utility>
#include <vector>

#include <outlive/detail/deadline.hpp>
#include <outlive/detail/export.hpp>
#include <outlive/handed_over.hpp>
#include <outlive/shared_type.hpp>

namespace outlive {

namespace detail {

// The head of a pool, which the words of the permits follow (docs/format.md).
struct alignas(64) permit_pool_head {
  std::atomic<std::uint32_t> seq;
  std::uint32_t magic;
  std::uint32_t permits;  // how many of the words are permits
  std::uint32_t words;
  std::atomic<std::uint64_t> collector;
  std::atomic<std::uint32_t> turn;
};

// A permit's word: 0 if it is free, otherwise its holder.
using permit_word = std::atomic<std::uint64_t>;

OUTLIVE_API void make_permits(permit_pool_head& head, std::uint32_t words, std::uint32_t permits);
OUTLIVE_API void end_permits(permit_pool_head& head) noexcept;
// A word, and the value that the acquiring thread stored there.
struct held_permit {
  permit_word* word = nullptr;
  std::uint64_t holder = 0;
};
// Returns: a hold without a word if no permit was free in time.
[[nodiscard]] OUTLIVE_API held_permit acquire_permit(permit_pool_head& head, std::uint32_t words,
                                                     const deadline& until);
// Acquires `count` permits into the array, or none. Returns: whether it did in time.
[[nodiscard]] OUTLIVE_API bool acquire_permits(permit_pool_head& head, std::uint32_t words,
                                               held_permit* into, std::uint32_t count,
                                               const deadline& until);
// Returns: whether the calling thread held it.
OUTLIVE_API bool release_permit(permit_pool_head& head, held_permit which) noexcept;
// A permit, and its pool.
struct pooled_permit {
  permit_pool_head* pool = nullptr;
  held_permit held;
};
// See <outlive/handed_over.hpp>. The first throws errc::not_owner.
[[nodiscard]] OUTLIVE_API std::shared_ptr<handing> hand_over_permit(const pooled_permit& which);
[[nodiscard]] OUTLIVE_API pooled_permit take_over(const pooled_permit& which, handing& by);
OUTLIVE_API void return_handed(const pooled_permit& which, handing& by) noexcept;
// A permit ended that the calling thread did not hold.
OUTLIVE_API void lose_permit(const permit_pool_head& head, held_permit which) noexcept;
[[nodiscard]] OUTLIVE_API std::uint32_t count_free_permits(const permit_pool_head& head,
                                                           std::uint32_t words);
[[noreturn]] OUTLIVE_API void throw_not_holder();

}  // namespace detail

template <std::uint32_t Most>
class permit_pool;
class notify_descriptor;

// Holds a permit. Movable; releases the permit when it ends.
class [[nodiscard]] permit {
 public:
  permit() noexcept = default;
  permit(permit&& other) noexcept : pool_(other.pool_), held_(std::exchange(other.held_, {})) {}
  permit& operator=(permit&& other) noexcept {
    if (this != &other) {
      drop();
      pool_ = other.pool_;
      held_ = std::exchange(other.held_, {});
    }
    return *this;
  }
  ~permit() { drop(); }

  // Returns: whether it holds a permit: false after a try_acquire() that failed, after release(),
  //   and after a move.
  explicit operator bool() const noexcept { return held_.word != nullptr; }

  // Releases the permit before this object ends.
  // Errors: errc::not_owner if the calling thread does not hold it (another thread, a forked
  //   child), or if this object holds none; then nothing is released.
  void release() {
    if (held_.word == nullptr || !detail::release_permit(*pool_, held_)) detail::throw_not_holder();
    held_ = {};
  }

  // Lets another thread of this process take the permit (<outlive/handed_over.hpp>). This object is
  // empty then.
  // Errors: as release(), std::bad_alloc. Blocks: never. Killed in it: a permit of a dead thread.
  [[nodiscard]] handed_over<permit> hand_over() {
    const held_type mine{pool_, held_};
    handed_over<permit> handed(mine, detail::hand_over_permit(mine));
    held_ = {};
    return handed;
  }

 private:
  template <std::uint32_t>
  friend class permit_pool;
  friend class handed_over<permit>;
  using held_type = detail::pooled_permit;
  explicit permit(const held_type& which) noexcept : pool_(which.pool), held_(which.held) {}
  permit(detail::permit_pool_head& pool, detail::held_permit held) noexcept
      : pool_(&pool), held_(held) {}
  // Releases nothing in a forked child or in another thread, which do not hold it. The latter is
  // reported (<outlive/misuse.hpp>).
  void drop() noexcept {
    const detail::held_permit held = std::exchange(held_, {});
    if (held.word != nullptr && !detail::release_permit(*pool_, held))
      detail::lose_permit(*pool_, held);
  }
  detail::permit_pool_head* pool_ = nullptr;
  detail::held_permit held_;
};

// `Most`: room for this many permits, 8 bytes each.
template <std::uint32_t Most = 64>
class permit_pool {
  static_assert(Most > 0 && Most <= 65'536, "a pool has 1 to 65,536 permits");

 public:
  // Makes a pool of `permits` free permits.
  // Requires: the memory lies in a segment that this process has mapped.
  // Errors: errc::not_in_segment, std::errc::invalid_argument unless 1 <= permits <= Most.
  explicit permit_pool(std::uint32_t permits = Most) { detail::make_permits(head_, Most, permits); }
  // Requires: nobody holds or waits for a permit.
  ~permit_pool() { detail::end_permits(head_); }
  permit_pool(const permit_pool&) = delete;
  permit_pool& operator=(const permit_pool&) = delete;

  // Acquires a permit.
  // Blocks: until one is free, or its holder is dead. If segment_options::readers is
  //   reader_marks::membarrier, a thread that may not call membarrier(2) may notice a released
  //   permit 250 ms late.
  // Errors: errc::damaged, errc::in_repair (it may wait for a thread that waits for the repair); at
  //   a thread's first use of the segment also those of robust_mutex::lock().
  // After fork: the child holds none of its parent's permits. Signal-safe: no.
  // Order: synchronises with the former holder's release, or with all that it did before it died.
  [[nodiscard]] permit acquire() { return acquire_in_time(detail::no_limit); }
  // The same until stop is requested. Returns: a permit that does not hold if stop was requested
  // and none was free.
  [[nodiscard]] permit acquire(const std::stop_token& stop) {
    return acquire_in_time(detail::deadline(detail::no_limit, stop));
  }
  // Returns: a permit that holds; or one that does not, because none was free (in time).
  // Errors: as acquire(); try_acquire() is allowed in a repair.
  // If the kernel did not mark the death of a holder (hazards A1, A23), only a thread that has
  // waited for 250 ms acquires its permit.
  [[nodiscard]] permit try_acquire() { return acquire_in_time(detail::no_wait); }
  // `timeout` is a std::chrono duration, `deadline` a point in time. If that is on another clock
  // than steady_clock, the clock is asked at least every 250 ms. Requires: its now() throws nothing
  // and acquires no lock.
  [[nodiscard]] permit try_acquire_for(const detail::deadline& timeout) {
    return acquire_in_time(timeout);
  }
  [[nodiscard]] permit try_acquire_until(const detail::deadline& deadline) {
    return acquire_in_time(deadline);
  }
  // A request to stop ends the wait, too.
  [[nodiscard]] permit try_acquire_for(const detail::deadline& timeout,
                                       const std::stop_token& stop) {
    return acquire_in_time(detail::deadline(timeout, stop));
  }
  [[nodiscard]] permit try_acquire_until(const detail::deadline& deadline,
                                         const std::stop_token& stop) {
    return try_acquire_for(deadline, stop);
  }

  // Acquires `count` permits, all or none. One thread at a time collects several; it keeps those
  // that it has while it waits for more, so that others that want one do not starve it.
  // Blocks: until nobody else collects, and as acquire() for each permit.
  // Errors: as acquire(); std::errc::invalid_argument unless 1 <= count <= size(); std::bad_alloc.
  // On death: the permits are free, and the next thread collects.
  [[nodiscard]] std::vector<permit> acquire_many(std::uint32_t count) {
    return acquire_many_in_time(count, detail::no_limit);
  }
  // Return: none if there were not so many (in time, or before a stop was requested). Errors: as
  //   acquire_many(); try_acquire_many() is allowed in a repair. It does not wait for another
  //   thread that collects.
  [[nodiscard]] std::vector<permit> acquire_many(std::uint32_t count, const std::stop_token& stop) {
    return acquire_many_in_time(count, detail::deadline(detail::no_limit, stop));
  }
  [[nodiscard]] std::vector<permit> try_acquire_many(std::uint32_t count) {
    return acquire_many_in_time(count, detail::no_wait);
  }
  [[nodiscard]] std::vector<permit> try_acquire_many_for(std::uint32_t count,
                                                         const detail::deadline& timeout,
                                                         const std::stop_token& stop = {}) {
    return acquire_many_in_time(count, detail::deadline(timeout, stop));
  }
  [[nodiscard]] std::vector<permit> try_acquire_many_until(std::uint32_t count,
                                                           const detail::deadline& deadline,
                                                           const std::stop_token& stop = {}) {
    return try_acquire_many_for(count, deadline, stop);
  }

  // Returns: the number of free permits, including those of dead holders. Others change it
  //   meanwhile; for people to look at.
  [[nodiscard]] std::uint32_t count() const { return detail::count_free_permits(head_, Most); }
  // Returns: the number of permits.
  [[nodiscard]] std::uint32_t size() const noexcept { return std::min(head_.permits, Most); }

 private:
  friend class notify_descriptor;
  permit acquire_in_time(const detail::deadline& until) {
    return {head_, detail::acquire_permit(head_, Most, until)};
  }
  std::vector<permit> acquire_many_in_time(std::uint32_t count, const detail::deadline& until) {
    std::vector<detail::held_permit> held(std::min(count, Most));
    std::vector<permit> got;
    got.reserve(held.size());  // nothing fails once they are acquired
    if (detail::acquire_permits(head_, Most, held.data(), count, until)) {
      for (const detail::held_permit& each : held) got.push_back(permit(head_, each));
    }
    return got;
  }

  detail::permit_pool_head head_;
  detail::permit_word words_[Most]{};
};

template <std::uint32_t Most>
inline constexpr bool shareable<permit_pool<Most>> = true;

}  // namespace outlive
