// The small world of a step test: one segment, a few guarded values, a parent that is the heir after each kill point.
//
// What is asked after every death, at every instruction: does the heir get the mutex; does the repair run exactly if the mutex named a dead thread
// when it died; is the dead one named right; does the invariant hold; are all thread records free again.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <outlive/outlive.hpp>

#include "segment/lock_state.hpp"
#include "segment/mapping.hpp"
#include "segment/segment_access.hpp"
#include "support/bounded.hpp"
#include "support/single_step.hpp"

namespace outlive::testing {

// Invariant: a == b. A holder changes both; a death in between leaves them different.
struct twins {
  long a = 0;
  long b = 0;
};
using guarded_twins = guarded<twins>;

// What the heirs saw, over all processes of the test.
struct sightings {
  std::atomic<std::uint32_t> repairs{0};
  std::atomic<std::int32_t> owner_tid{0};
  std::atomic<std::int32_t> former_heir_tid{0};
  std::atomic<std::uint32_t> attempt{0};
};

// Totals of one sweep, printed at its end.
struct tally {
  std::size_t points = 0;
  std::size_t repairs = 0;
  std::size_t needless = 0;  // repairs of data that was consistent: death between the holder's store and the user's first, and the like
};

class world {
 public:
  explicit world(std::size_t locks, const segment_options& options = small());
  ~world();

  static segment_options small();

  [[nodiscard]] segment& shared() noexcept { return segment_; }
  [[nodiscard]] guarded_twins& lock(std::size_t index) noexcept { return *locks_[index]; }
  [[nodiscard]] std::size_t locks() const noexcept { return locks_.size(); }
  [[nodiscard]] detail::lock_state state(std::size_t index) const noexcept;
  [[nodiscard]] std::uint32_t native_word(std::size_t index) const noexcept;
  [[nodiscard]] detail::mapping& mapped() const noexcept { return *detail::segment_access::mapping_of(segment_); }
  [[nodiscard]] sightings& seen() noexcept { return *seen_; }

  // In the victim: says who is to be named.
  void i_am_the_victim() noexcept;
  [[nodiscard]] pid_t victim() const noexcept { return victim_->load(); }

  // Registers the repair of the twins in this process: levels both, counts itself, remembers who was named.
  void register_repair();
  void drop_repair() { repair_.reset(); }

  // The parent as the heir of one mutex: takes it in bounded time, checks all of the above, gives it back.
  void inherit(std::size_t index, const kill_point& point);
  // After all mutexes are settled: no record is taken but those of the living.
  void expect_records_free(std::uint32_t living, const kill_point& point);

  tally& counts() noexcept { return tally_; }
  void report(const char* scenario, const sweep_result& result) const;

 private:
  segment segment_;
  std::vector<guarded_twins*> locks_;
  shared_object<sightings> seen_;
  shared_object<std::atomic<pid_t>> victim_;
  repair_registration repair_;
  tally tally_;
};

// The change that a victim makes while it is inside.
inline void change(twins& value) noexcept {
  value.a += 1;
  std::atomic_signal_fence(std::memory_order_seq_cst);  // two stores, in this order
  value.b += 1;
}

}  // namespace outlive::testing
