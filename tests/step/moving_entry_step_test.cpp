// An owner unlocks out of order while others look at what it has in hand: the entry of a mutex that
// it keeps moves down, and whoever looks must not miss it.
#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>

#include "records/adoption.hpp"
#include "step/world.hpp"
#include "supervise/hold_watch.hpp"
#include "support/child.hpp"
#include "support/read_watch.hpp"
#include "sys/native_mutex.hpp"

using namespace outlive;
using namespace outlive::testing;
using namespace std::chrono_literals;

namespace {

class moving_entry_step : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = tracing_unavailable()) GTEST_SKIP() << *why;
    owner_ = std::make_unique<child>("owner", [this](agent& parent) {
      for (robust_mutex* each : others_) each->lock();
      kept_.lock();
      parent.tell("inside");
      for (unsigned order = 1; order <= moves; ++order) {
        orders_.wait_at_least(order);
        others_[moves - order]->unlock();
        done_.add();
      }
      parent.await("leave");
      kept_.unlock();
    });
    owner_->wait_for("inside");
    for (std::uint32_t i = 0; i < bytes_.record_count(); ++i) {
      if (bytes_.record(i).tid.load() == static_cast<std::uint32_t>(owner_->pid())) record_ = i;
    }
    ASSERT_LT(record_, bytes_.record_count());
    ASSERT_EQ(place(0), bytes_.offset_of(others_[0]));
    ASSERT_EQ(place(moves), bytes_.offset_of(&kept_));
  }
  std::uint64_t place(unsigned at) const { return bytes_.held(record_)[at].place.load(); }

  /// The next mutex out of order: the entry of the one that is kept moves into its place.
  void let_the_owner_unlock_one() {
    const unsigned order = orders_.load() + 1;
    orders_.store(order);
    if (!done_.wait_equal(order)) _exit(3);
  }
  /// Calls look() in a child. Each time that it has read the place just below the entry, the owner
  /// moves the entry there.
  template <class Look>
  void look_while_it_moves(const Look& look) {
    child other("who looks", [&](agent&) {
      const detail::held_entry* const held = bytes_.held(record_);
      const read_watch watch(held, moves * sizeof *held, [&](const void* word) {
        if (orders_.load() < moves && word == &held[moves - 1 - orders_.load()].place)
          let_the_owner_unlock_one();
      });
      look();
    });
    other.expect_exit(0);
  }

  segment seg_ = segment::anonymous(world::small());
  detail::mapping& bytes_ = *detail::segment_access::mapping_of(seg_);
  // One for each look of adopt_if_orphan(): two before it has the adoption mutex, two with it.
  static constexpr unsigned moves = 4;
  std::array<robust_mutex*, moves> others_ = [this] {
    std::array<robust_mutex*, moves> all{};
    for (unsigned i = 0; i < moves; ++i)
      all[i] = &seg_.find_or_construct<robust_mutex>("other " + std::to_string(i), "plain");
    return all;
  }();
  robust_mutex& kept_ = seg_.find_or_construct<robust_mutex>("kept", "plain");
  shared_value<unsigned> orders_, done_;
  std::unique_ptr<child> owner_;
  std::uint32_t record_ = ~0u;
};

}  // namespace

// A dead thread, whose record names the mutex, had the owner's thread id before it: if the living
// owner is missed in every look, it is robbed.
TEST_F(moving_entry_step, a_living_owner_with_a_dead_ones_id_is_not_robbed) {
  child dead("dead", [](agent&) {});
  dead.expect_exit(0);
  const std::uint32_t witness = bytes_.record_count() - 1;
  detail::thread_record& record = bytes_.record(witness);
  record.pid.store(static_cast<std::uint32_t>(dead.pid()));
  record.start_time.store(1);
  bytes_.held(witness)[0].place.store(bytes_.offset_of(&kept_));
  record.tid.store(static_cast<std::uint32_t>(owner_->pid()));

  auto& lock = reinterpret_cast<detail::lock_bytes&>(kept_);
  look_while_it_moves([&] {
    EXPECT_EQ(detail::adopt_if_orphan(bytes_, lock, detail::no_wait), detail::adoption::none);
  });
  EXPECT_EQ(detail::native_mutex::word(lock.native) & detail::native_mutex::tid_mask,
            static_cast<std::uint32_t>(owner_->pid()));
  while (orders_.load() < moves) let_the_owner_unlock_one();
  owner_->tell("leave");
  owner_->expect_exit(0);
}

TEST_F(moving_entry_step, a_mutex_that_is_held_all_the_time_is_seen_as_held_all_the_time) {
  look_while_it_moves([&] {
    detail::hold_watch watch(seg_, bytes_);
    const auto at = [](std::chrono::seconds time) { return detail::hold_watch::time_point(time); };
    for (const auto time : {100s, 110s, 120s, 130s}) watch.sample(at(time));
    bool found = false;
    for (const auto& each : watch.new_long_holds(30s))
      found = found || each.seen.of.mutex_offset == bytes_.offset_of(&kept_);
    EXPECT_TRUE(found);
    EXPECT_EQ(orders_.load(), moves);
  });
  EXPECT_EQ(place(0), bytes_.offset_of(&kept_));
  owner_->tell("leave");
  owner_->expect_exit(0);
}
