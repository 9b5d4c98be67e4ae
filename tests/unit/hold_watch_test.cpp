// hold_watch: how long who has what, by samples at times that the test makes up.
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include <outlive/outlive.hpp>

#include "records/thread_slot.hpp"
#include "segment/segment_access.hpp"
#include "supervise/hold_watch.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono_literals;
using detail::hold_watch;

class hold_watch_test : public ::testing::Test {
 protected:
  hold_watch_test() {
    for (const char* const name : {"a", "b", "c"})
      mutexes_.push_back(&seg_.find_or_construct<robust_mutex>(name, "class"));
  }
  void sample_at(std::chrono::seconds time) { watch_.sample(hold_watch::time_point(time)); }
  std::vector<detail::long_hold> older_than(std::chrono::seconds age) {
    return watch_.new_long_holds(age);
  }
  bool still_holds(const detail::long_hold& each) const {
    const hold_times::hold& of = each.seen.of;
    return watch_.still_holds(of.record, of.generation, of.mutex_offset, each.seen.kind);
  }
  std::uint64_t offset_of(const robust_mutex* mutex) const { return mapping_->offset_of(mutex); }

  segment seg_ = segment::anonymous();
  std::shared_ptr<detail::mapping> mapping_ = detail::segment_access::mapping_of(seg_);
  hold_watch watch_{seg_, *mapping_};
  std::vector<robust_mutex*> mutexes_;
};

TEST_F(hold_watch_test, a_hold_is_as_old_as_the_first_sample_that_saw_it) {
  mutexes_[0]->lock();
  sample_at(100s);
  EXPECT_TRUE(older_than(1s).empty());
  sample_at(130s);
  EXPECT_TRUE(older_than(31s).empty());
  const auto found = older_than(30s);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].at_least, 30s);
  EXPECT_EQ(found[0].seen.of.mutex_offset, offset_of(mutexes_[0]));
  EXPECT_TRUE(still_holds(found[0]));
  sample_at(200s);
  EXPECT_TRUE(older_than(30s).empty()) << "told twice";
  mutexes_[0]->unlock();
  EXPECT_FALSE(still_holds(found[0]));
}

TEST_F(hold_watch_test, given_back_and_taken_again_is_another_hold) {
  mutexes_[0]->lock();
  sample_at(100s);
  mutexes_[0]->unlock();
  mutexes_[0]->lock();
  sample_at(110s);
  EXPECT_TRUE(older_than(1s).empty());
  sample_at(120s);
  ASSERT_EQ(older_than(1s).size(), 1u);
  mutexes_[0]->unlock();
  mutexes_[0]->lock();
  sample_at(130s);
  sample_at(140s);
  EXPECT_EQ(older_than(10s).size(), 1u) << "a new hold is told anew";
  mutexes_[0]->unlock();
}

TEST_F(hold_watch_test, who_takes_other_mutexes_does_not_hang) {
  mutexes_[0]->lock();
  for (int time = 0; time < 50; time += 10) {
    mutexes_[1]->lock();
    mutexes_[1]->unlock();
    sample_at(std::chrono::seconds(time));
    EXPECT_TRUE(older_than(5s).empty()) << time;
  }
  mutexes_[0]->unlock();
}

TEST_F(hold_watch_test, a_mutex_taken_later_is_no_older_for_those_held_before) {
  mutexes_[0]->lock();
  sample_at(100s);
  mutexes_[1]->lock();
  sample_at(110s);
  sample_at(115s);
  const auto found = older_than(1s);
  ASSERT_EQ(found.size(), 2u);
  for (const auto& each : found) EXPECT_EQ(each.at_least, 5s);
  mutexes_[0]->unlock();
  mutexes_[1]->unlock();
}

TEST_F(hold_watch_test, nothing_held_is_nothing_told) {
  mutexes_[0]->lock();
  mutexes_[0]->unlock();
  sample_at(100s);
  sample_at(1000s);
  EXPECT_TRUE(older_than(1s).empty());
  EXPECT_TRUE(watch_.new_deadlocks().empty());
}

}  // namespace
}  // namespace outlive::testing
