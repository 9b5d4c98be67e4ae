// A thread gives its record back and claims it again while others judge whether a mutex is an
// orphan: its count of acquisitions begins anew, and may come to what they saw before.
#include <unistd.h>

#include <string>

#include "records/adoption.hpp"
#include "records/thread_records.hpp"
#include "step/world.hpp"
#include "support/child.hpp"
#include "support/read_watch.hpp"
#include "sys/native_mutex.hpp"

using namespace outlive;
using namespace outlive::testing;

namespace {

class reclaimed_record_step : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = tracing_unavailable()) GTEST_SKIP() << *why;
  }
  /// What the owner does between the judge's reads of its count, of which each of four looks has
  /// two: it lets go before its entries are read, and has the mutex when the word is. In between it
  /// takes another life of its record, up to the count that the judge saw.
  void act(unsigned order) {
    if (order % 2 == 1) return mutex_.unlock();
    if (order == 2 || order == 6) detail::thread_records::release_if_idle(bytes_);
    mutex_.lock();
    if (order != 6) return;
    mutex_.unlock();
    mutex_.lock();
  }
  detail::thread_record* record_of(pid_t tid) const {
    for (std::uint32_t i = 0; i < bytes_.record_count(); ++i) {
      if (bytes_.record(i).tid.load() == static_cast<std::uint32_t>(tid)) return &bytes_.record(i);
    }
    return nullptr;
  }

  static constexpr unsigned orders = 8;
  segment seg_ = segment::anonymous(world::small());
  detail::mapping& bytes_ = *detail::segment_access::mapping_of(seg_);
  robust_mutex& mutex_ = seg_.find_or_construct<robust_mutex>("mutex", "plain");
  shared_value<unsigned> order_, done_;
};

}  // namespace

// A dead thread, whose record names the mutex, had the owner's thread id before it.
TEST_F(reclaimed_record_step, a_living_owner_with_a_dead_ones_id_is_not_robbed) {
  child owner("owner", [this](agent& parent) {
    mutex_.lock();
    parent.tell("inside");
    for (unsigned order = 1; order_.wait_at_least(order) && order_.load() <= orders; ++order) {
      act(order);
      done_.store(order);
    }
    parent.tell("done");
    parent.pause_forever();
  });
  owner.wait_for("inside");
  child dead("dead", [](agent&) {});
  dead.expect_exit(0);
  const detail::thread_record* const own = record_of(owner.pid());
  ASSERT_NE(own, nullptr);
  const std::uint32_t witness = bytes_.record_count() - 1;
  detail::thread_record& record = bytes_.record(witness);
  record.pid.store(static_cast<std::uint32_t>(dead.pid()));
  record.start_time.store(1);
  bytes_.held(witness)[0].place.store(bytes_.offset_of(&mutex_));
  record.tid.store(static_cast<std::uint32_t>(owner.pid()));

  auto& lock = reinterpret_cast<detail::lock_bytes&>(mutex_);
  child judge("judge", [&](agent&) {
    const read_watch watch(&own->acquisitions, sizeof own->acquisitions, [&](const void*) {
      const unsigned next = order_.load() + 1;
      order_.store(next);
      if (!done_.wait_equal(next)) _exit(3);
    });
    EXPECT_EQ(detail::adopt_if_orphan(bytes_, lock, detail::no_wait), detail::adoption::none);
  });
  judge.expect_exit(0);
  EXPECT_EQ(order_.load(), 4u) << "two looks";
  EXPECT_EQ(detail::native_mutex::word(lock.native), static_cast<std::uint32_t>(owner.pid()));
  order_.store(orders + 1);
  owner.wait_for("done");
  owner.kill();
  owner.expect_killed();
}
