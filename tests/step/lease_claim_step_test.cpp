// A consumer is stopped at every instruction while it claims the job of a lease that is over.
// Others go on: no job is stuck, and none has two holders. The claimer may know a state and a time
// that were never in the slot together.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "scenes/late_lease.hpp"
#include "step/world.hpp"

using namespace outlive;
using namespace outlive::testing;
using namespace std::chrono_literals;

namespace {

class lease_claim_step : public ::testing::Test {
 protected:
  using queue = work_queue<long, 3>;

  struct claim_race {
    std::string name;
    std::function<void()> prepare = [] {};
    std::function<void()> meanwhile;
    std::function<bool()> is_refused;  // whether the late end of the lease is
  };
  /// A consumer is stopped at every instruction while it looks for the job of an expired lease.
  /// Meanwhile others work. Whoever has the job then, the consumer or the late holder: one of them
  /// can end it, and not both.
  void stop_the_claimer(const claim_race& race) {
    OUTLIVE_NEEDS_TRACING();
    shared_value<int> claimer_got{0};
    std::size_t taken_over = 0, ended_late = 0;
    sweep_plan plan;
    plan.name = race.name;
    plan.setup = [&] {
      leave_one_slot();
      race.prepare();
      claimer_got.store(0);
    };
    plan.victim = [&](agent&) {
      mutex_.lock();  // its record is claimed before the section begins
      mutex_.unlock();
      section_begin();
      auto again = queue_.try_pop();
      section_end();
      claimer_got.store(again ? 1 : 0);
      if (again) again.done();
      _exit(0);
    };
    plan.meanwhile = [&](const kill_point&) { race.meanwhile(); };
    plan.after = [&](const kill_point& point) {
      const bool refused = race.is_refused();
      if (point.died) return;  // it had left its recorded way, and nobody worked meanwhile
      EXPECT_EQ(refused, claimer_got.load() != 0) << "refused exactly if another has the job";
      EXPECT_EQ(queue_.waiting(), 0u);
      EXPECT_EQ(queue_.leased(), others_.size()) << "the job is stuck";
      ++(refused ? taken_over : ended_late);
    };
    const auto result = sweep(plan);
    EXPECT_GT(result.preempted, 100u);
    EXPECT_GT(taken_over, 0u);
    EXPECT_GT(ended_late, 0u);
  }
  /// Two jobs are leased for an hour, the third lease is over.
  void leave_one_slot() {
    hung_ = {};
    others_.clear();
    // The same for each victim: where the hints stand decides its way.
    std::memcpy(static_cast<void*>(&queue_), empty_.data(), empty_.size());
    for (long i = 1; i <= 3; ++i) queue_.push(i);
    for (int i = 0; i < 2; ++i) others_.push_back(queue_.pop());
    hung_ = queue_.pop();
    hung_.extend(0ns);
  }

  segment seg_ = segment::anonymous(world::small());
  queue& queue_ = seg_.find_or_construct<queue>("jobs", work_queue_options{.lease_limit = 1h});
  robust_mutex& mutex_ = seg_.find_or_construct<robust_mutex>("mutex", "plain");
  const std::vector<char> empty_{reinterpret_cast<const char*>(&queue_),
                                 reinterpret_cast<const char*>(&queue_ + 1)};
  lease<long> hung_;
  std::vector<lease<long>> others_;
};

}  // namespace

// The lease ends late, and the next one of the slot, of the same thread at the same try, is over,
// too. The consumer may know the state of the first, and the time of the second.
TEST_F(lease_claim_step, another_lease_begins_at_every_instruction_of_a_claimer) {
  stop_the_claimer({.name = "the claimer of an expired lease, and the next lease expires",
                    .meanwhile =
                        [&] {
                          if (is_refused_as_expired(hung_)) return;
                          queue_.push(4);
                          hung_ = queue_.try_pop();
                          ASSERT_TRUE(hung_);
                          ASSERT_EQ(hung_.tries(), 1u);
                          hung_.extend(0ns);
                        },
                    .is_refused = [&] { return !hung_ || is_refused_as_expired(hung_); }});
}

// With the time the taker gets, the state changes alone.
TEST_F(lease_claim_step, the_lease_is_taken_at_every_instruction_of_a_claimer) {
  handed_over<lease<long>> handed;
  shared_value<int> was_taken{0}, may_end{0};
  std::atomic<bool> refused{true};
  std::optional<std::jthread> taker;
  stop_the_claimer({.name = "the claimer of an expired lease, and it is handed over",
                    .prepare =
                        [&] {
                          handed = hung_.hand_over();
                          was_taken.store(0);
                          may_end.store(0);
                          refused = true;
                        },
                    .meanwhile =
                        [&] {
                          taker.emplace([&] {
                            hung_ = handed.take();
                            was_taken.store(1);
                            may_end.wait([](int now) { return now != 0; });
                            refused = !hung_ || is_refused_as_expired(hung_);
                          });
                          was_taken.wait([](int now) { return now != 0; });
                        },
                    .is_refused =
                        [&] {
                          may_end.store(1);
                          taker.reset();
                          handed = {};
                          return refused.load();
                        }});
}
