// The kernel did not mark a dead thread's liveness mutex, and its thread id is somebody else's by
// now: whether the mutex is an orphan is judged by whose that thread is. Only a participant's
// thread can have one.
#include <gtest/gtest.h>
#include <linux/futex.h>

#include <outlive/note.hpp>

#include "mapping/mapping.hpp"
#include "records/adoption.hpp"
#include "segment/segment_access.hpp"
#include "sys/native_mutex.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

struct adoption_process_test : ::testing::Test {
  segment seg = segment::anonymous(few_of_everything());
  detail::mapping& map = *detail::segment_access::mapping_of(seg);
  // free: nobody locks here but one child, which has record 0
  pthread_mutex_t& liveness = map.record(1).liveness;

  void pretend_that_it_is_held_by(pid_t tid) {
    __atomic_store_n(reinterpret_cast<std::uint32_t*>(&liveness), static_cast<std::uint32_t>(tid),
                     __ATOMIC_RELEASE);
  }
};

TEST_F(adoption_process_test, a_liveness_mutex_with_a_strangers_thread_id_is_an_orphan) {
  child stranger("stranger", [](agent& parent) {
    parent.tell("here");
    parent.pause_forever();
  });
  stranger.wait_for("here");
  pretend_that_it_is_held_by(stranger.pid());
  EXPECT_EQ(detail::adopt_liveness_if_orphan(map, 1, detail::no_wait), detail::adoption::done);
  EXPECT_EQ(detail::native_mutex::word(liveness), FUTEX_OWNER_DIED);
  EXPECT_FALSE(stranger.ended());
}

TEST_F(adoption_process_test, a_liveness_mutex_with_a_living_participants_thread_id_is_none) {
  child member("member", [this](agent& parent) {
    note(seg, 1);
    parent.tell("here");
    parent.pause_forever();
  });
  member.wait_for("here");
  pretend_that_it_is_held_by(member.pid());
  EXPECT_EQ(detail::adopt_liveness_if_orphan(map, 1, detail::no_wait), detail::adoption::none);
  EXPECT_EQ(detail::native_mutex::word(liveness), static_cast<std::uint32_t>(member.pid()));
  member.kill();
  member.expect_killed();
  EXPECT_EQ(detail::adopt_liveness_if_orphan(map, 1, detail::no_wait), detail::adoption::done);
  EXPECT_EQ(detail::native_mutex::word(liveness), FUTEX_OWNER_DIED);
}

}  // namespace
}  // namespace outlive::testing
