// The small world of a step test: one segment, a few guarded values, a parent that is the heir
// after each kill point.
//
// What is asked after every death, at every instruction: was the lock left as the protocol says;
// does the heir get it; does the repair run exactly if the mutex named a dead thread when it died;
// are the dead named right, and the attempts; does the invariant hold; are all thread records free
// again.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <outlive/outlive.hpp>

#include "format/lock_state.hpp"
#include "mapping/mapping.hpp"
#include "segment/segment_access.hpp"
#include "support/bounded.hpp"
#include "support/single_step.hpp"

namespace outlive::testing {

#define OUTLIVE_NEEDS_TRACING() \
  if (auto why = ::outlive::testing::tracing_unavailable()) GTEST_SKIP() << *why

// Invariant: a == b. A holder changes both; a death in between leaves them different.
struct twins {
  long a = 0;
  long b = 0;
};
using guarded_twins = guarded<twins>;

// The change that a victim makes while it is inside.
inline void change(twins& value) noexcept {
  value.a += 1;
  std::atomic_signal_fence(std::memory_order_seq_cst);  // two stores, in this order
  value.b += 1;
}

// What a repair was told; in shared memory.
struct told {
  std::atomic<std::uint32_t> repairs{0};
  std::atomic<std::int32_t> owner{0};        // thread id, -1: unknown
  std::atomic<std::int32_t> former_heir{0};  // thread id, -1: unknown, 0: none
  std::atomic<std::uint32_t> attempt{0};
  void forget() noexcept;
};

// A dead thread that had the mutex before the victim came: its id, and how a lock's state names it.
struct dead_one {
  pid_t tid = 0;
  detail::record_id id;
};

// What the heir must find. Derived from the state at the victim's death and from what the test
// knows of the dead.
struct expectation {
  bool repair = false;
  pid_t owner = 0;
  pid_t former_heir = 0;
  unsigned attempt = 0;
};

// Totals of one sweep: a row of the table in docs/protocol.md.
struct tally {
  std::size_t points = 0;
  std::size_t repairs = 0;  // by the heir
  std::size_t stuck = 0;
  // no repair although one was due
  std::size_t missed = 0;
  // a repair although the mutex named nobody
  std::size_t not_due = 0;
  // records that stay taken
  std::size_t lost = 0;
  // names and attempts
  std::size_t wrong = 0;
  // the mutex or the held lists left in a state that the protocol does not know
  std::size_t unlawful = 0;
};

class world {
 public:
  explicit world(std::size_t locks, const segment_options& options = small());
  ~world();

  static segment_options small();

  [[nodiscard]] segment& shared() noexcept { return segment_; }
  [[nodiscard]] guarded_twins& lock(std::size_t index) noexcept { return *locks_[index]; }
  [[nodiscard]] std::size_t locks() const noexcept { return locks_.size(); }
  [[nodiscard]] detail::lock_bytes& bytes(std::size_t index) const noexcept;
  [[nodiscard]] detail::lock_state state(std::size_t index) const noexcept;
  [[nodiscard]] std::uint32_t native_word(std::size_t index) const noexcept;
  [[nodiscard]] detail::mapping& mapped() const noexcept {
    return *detail::segment_access::mapping_of(segment_);
  }

  // A plan with a name, that looks at the whole segment and settles all mutexes after each point.
  // Kill points: each instruction, or with a stride above 1 each new state of the segment and every
  // stride-th instruction (in the environment, OUTLIVE_STEP_EVERY=1: each all the same;
  // OUTLIVE_STEP_STRIDE=N: no stride below N).
  [[nodiscard]] sweep_plan plan(const std::string& name, std::size_t stride = 1);
  // For setup: the segment as it was when the sweep began, where a section's way depends on what
  // earlier victims have left.
  void start_over();
  // For setup: what `make` left of a fresh start. It is made once for many runs: those who died in
  // it stay as dead in a copy.
  [[nodiscard]] std::function<void()> again_from(std::function<void()> make);
  // Runs it, prints the row, and fails on anything counted that must be 0.
  sweep_result run(const sweep_plan& plan);

  // In the victim: says who is to be named, and makes the process known to the segment, so that the
  // section starts with the fast path.
  void i_am_the_victim() noexcept;
  void warm_up();
  [[nodiscard]] pid_t victim() const noexcept { return shared_->victim.load(); }

  // Registers the repair of the twins in this process: levels both, remembers what it was told.
  // Children inherit it.
  void register_repair(repair_result in_victim = repaired);
  void drop_repair() { repair_.reset(); }
  [[nodiscard]] told& heir_was_told() noexcept { return shared_->heir; }
  [[nodiscard]] told& victim_was_told() noexcept { return shared_->victim_told; }

  // Forks an owner that takes the mutexes, tears their values and dies by SIGKILL (or as `end`
  // says). Remembers it for expectations.
  void leave_owner_dead_in(const std::vector<std::size_t>& indexes,
                           const std::function<void()>& end = nullptr);
  // Forks an heir that dies in the repair of the mutex.
  void leave_heir_dead_in(std::size_t index);
  [[nodiscard]] dead_one& owner_of(std::size_t index) { return owners_[index]; }
  [[nodiscard]] dead_one& heir_of(std::size_t index) { return heirs_[index]; }
  void forget_the_dead();

  [[nodiscard]] expectation expect_now(std::size_t index) const;
  // The state of the mutex at the victim's death is one that the protocol knows. Not for orphans,
  // which the kernel has left.
  void check_lawful(std::size_t index);
  // The parent as the heir of one mutex: takes it in bounded time, compares with the expectation,
  // gives it back.
  void inherit(std::size_t index);
  // check_lawful and inherit for all, then the records: none is taken but those of `living`
  // threads.
  void settle(std::uint32_t living = 1);
  // The same, and before the parent a process comes, claims a record, uses a mutex that nobody
  // tore, and goes. It must take no record that a mutex names.
  void settle_after_newcomer(std::size_t index);
  void check_records(std::uint32_t living);

  tally& counts() noexcept { return tally_; }

 private:
  struct in_all_processes {
    std::atomic<pid_t> victim{0};
    std::atomic<bool> die_in_repair{false};
    std::atomic<std::uint32_t> needless{
        // repairs of data that was consistent: a death between the holder's store and the user's
        // first, and the like
        0};
    told heir;
    told victim_told;
  };
  // The segment's bytes, and who is dead in it.
  struct image {
    std::vector<std::byte> bytes;
    std::vector<dead_one> owners;
    std::vector<dead_one> heirs;
  };
  void save(image& to) const;
  void load(const image& from);
  [[nodiscard]] bool shows(std::uint32_t record, std::size_t index) const;
  [[nodiscard]] bool is_in_hand(std::size_t index) const;
  void compare(std::size_t index, const expectation& due, std::uint32_t repairs);
  template <class What>
  void complain(std::size_t& counter, const What& what);
  void prepare();
  void rehearse(const sweep_plan& plan);
  void print_row(const sweep_plan& plan, const sweep_result& result) const;

  segment segment_;
  std::vector<guarded_twins*> locks_;
  std::vector<dead_one> owners_;
  std::vector<dead_one> heirs_;
  shared_object<in_all_processes> shared_;
  repair_registration repair_;
  image start_;
  tally tally_;
};

}  // namespace outlive::testing
