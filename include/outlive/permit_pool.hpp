// permit_pool: a counting semaphore whose permits come back when their holders die.
//
// glibc's process-shared semaphore counts: a process that dies after sem_wait() takes its unit with
// it for ever, and nobody can tell whose it was (hazard A63). Here each permit is a word that names
// its holder. A permit of a dead thread is free again at once, without a repair and without
// anybody's help: whoever needs one takes it over.
//
//   auto& slots =
//       seg.find_or_construct<outlive::permit_pool<16>>("connections", 4);  // 4 of at most 16
//   {
//     const outlive::permit one = slots.acquire();
//     ...
//   }  // released
//
// A permit belongs to the thread that acquired it, and ends with it: not to be handed to another
// thread, nor to a forked child. Acquiring several at once is left out on purpose: two threads with
// half of what they want each would wait for ever.
//
// Every change is one exchange or store of one word, so there is no state that a death could leave
// half done:
//
//   killed                                     what is left
//   -----------------------------------------  ---------------------------------------------------
//   before the exchange that acquires          the permit is free
//   after it, or anywhere while holding        the permit names a dead thread: free for the taking
//   after the store that releases              the permit is free; a sleeper that was to be woken
//                                                looks again within 250 ms
#pragma once

#include <outlive/detail/requirements.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <utility>

#include <outlive/deadline.hpp>
#include <outlive/export.hpp>
#include <outlive/shared_type.hpp>

namespace outlive {

namespace detail {

// The head of a pool; docs/format.md and lib/format/layout.hpp say who writes what when. The words
// of the permits follow it.
struct alignas(64) permit_pool_head {
  std::atomic<std::uint32_t> seq;
  std::uint32_t magic;
  std::uint32_t permits;  // how many of the words are permits
  std::uint32_t words;
};

// A permit's word: 0 is free; else whose it is.
using permit_word = std::atomic<std::uint64_t>;

OUTLIVE_API void make_permits(permit_pool_head& head, std::uint32_t words, std::uint32_t permits);
OUTLIVE_API void end_permits(permit_pool_head& head) noexcept;
// A word, and what the thread that acquired it stored there.
struct held_permit {
  permit_word* word = nullptr;
  std::uint64_t holder = 0;
};
// Returns: without a word when there was none in time.
[[nodiscard]] OUTLIVE_API held_permit acquire_permit(permit_pool_head& head, std::uint32_t words,
                                                     const deadline& until);
// Returns: whether it was the calling thread's. By value: so that a permit need not lie in memory.
OUTLIVE_API bool release_permit(permit_pool_head& head, held_permit which) noexcept;
[[nodiscard]] OUTLIVE_API std::uint32_t count_free_permits(const permit_pool_head& head,
                                                           std::uint32_t words);
[[noreturn]] OUTLIVE_API void throw_not_holder();

}  // namespace detail

template <std::uint32_t Most>
class permit_pool;

// The hold on a permit. Movable; gives the permit back when it ends.
class [[nodiscard]] permit {
 public:
  permit() noexcept = default;
  permit(permit&& other) noexcept : pool_(other.pool_), held_(std::exchange(other.held_, {})) {}
  permit& operator=(permit&& other) noexcept {
    if (this != &other) {
      give_back();
      pool_ = other.pool_;
      held_ = std::exchange(other.held_, {});
    }
    return *this;
  }
  ~permit() { give_back(); }

  // Returns: whether it holds one: false after a try_acquire() that failed, after release(), after
  //   a move.
  explicit operator bool() const noexcept { return held_.word != nullptr; }

  // Gives the permit back before this object ends. Errors: errc::not_owner when it is not the
  // calling thread's (in another thread, in a forked child), or when this object holds none; then
  // nothing is given back.
  void release() {
    if (held_.word == nullptr || !detail::release_permit(*pool_, held_)) detail::throw_not_holder();
    held_ = {};
  }

 private:
  template <std::uint32_t>
  friend class permit_pool;
  permit(detail::permit_pool_head& pool, detail::held_permit held) noexcept
      : pool_(&pool), held_(held) {}
  // In a forked child, or another thread, it is not ours: then there is nothing to give back.
  void give_back() noexcept {
    const detail::held_permit held = std::exchange(held_, {});
    if (held.word != nullptr) detail::release_permit(*pool_, held);
  }
  detail::permit_pool_head* pool_ = nullptr;
  detail::held_permit held_;
};

// `Most`: how many permits there is room for, 8 bytes each.
template <std::uint32_t Most = 64>
class permit_pool {
  static_assert(Most > 0 && Most <= 65'536, "a pool has 1 to 65,536 permits");

 public:
  // Makes a pool of `permits` free permits. Requires: the memory lies in a segment that this
  // process has mapped.
  // Errors: errc::not_in_segment, std::errc::invalid_argument unless 1 <= permits <= Most.
  explicit permit_pool(std::uint32_t permits = Most) { detail::make_permits(head_, Most, permits); }
  // Requires: nobody holds or waits for a permit.
  ~permit_pool() { detail::end_permits(head_); }
  permit_pool(const permit_pool&) = delete;
  permit_pool& operator=(const permit_pool&) = delete;

  // Acquires a permit. Blocks: until one is free, or its holder is dead, in slices of 250 ms. Where
  // segment_options::readers is reader_marks::membarrier, a waiter that may not call membarrier(2)
  // can see a permit that is given back a slice late.
  // Errors: errc::damaged, errc::in_repair (it may wait for a thread that waits for the repair); at
  //   a thread's first use of the segment also those of robust_mutex::lock().
  // After fork: the child holds none of its parent's permits. Signal-safe: no.
  // Order: synchronises with the former holder's release, or with all that it did before it died.
  [[nodiscard]] permit acquire() { return take(detail::no_limit); }
  // Returns: a permit that holds, or one that does not because none was free (or not in time).
  // Errors: as acquire(); try_acquire() is allowed in a repair. A permit whose holder died without
  // the kernel's having marked that (an orphan: hazards A1, A23) is taken over only by who has
  // waited for 250 ms.
  [[nodiscard]] permit try_acquire() { return take(detail::no_wait); }
  template <class Rep, class Period>
  [[nodiscard]] permit try_acquire_for(const std::chrono::duration<Rep, Period>& timeout) {
    return take(detail::deadline::after(timeout));
  }
  // A deadline on another clock than steady_clock follows that clock, which is asked at least every
  // 250 ms. Requires: its now() throws nothing and acquires no lock.
  template <class Clock, class Duration>
  [[nodiscard]] permit try_acquire_until(const std::chrono::time_point<Clock, Duration>& deadline) {
    return take(detail::deadline::at(deadline));
  }

  // Returns: permits that are free, those of dead holders included. Others change it meanwhile; for
  //   people to look at.
  [[nodiscard]] std::uint32_t count() const { return detail::count_free_permits(head_, Most); }
  // Returns: how many permits there are.
  [[nodiscard]] std::uint32_t size() const noexcept { return std::min(head_.permits, Most); }

 private:
  permit take(const detail::deadline& until) {
    return {head_, detail::acquire_permit(head_, Most, until)};
  }

  detail::permit_pool_head head_;
  detail::permit_word words_[Most]{};
};

template <std::uint32_t Most>
inline constexpr bool shareable<permit_pool<Most>> = true;

}  // namespace outlive
