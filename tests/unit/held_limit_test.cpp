// The limit of mutexes in one thread's hand, over all segments: 1,900, because the kernel marks
// 2,048 of a dying thread's.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <outlive/outlive.hpp>

#include "format/object_layout.hpp"

using namespace outlive;

namespace {

segment make(std::uint32_t max_held) {
  segment_options options;
  options.max_held = max_held;
  options.threads = 4;
  options.participants = 4;
  options.directory_capacity = 2'000;
  options.size = 2'000 * 256;
  return segment::anonymous(options);
}

std::vector<robust_mutex*> mutexes_in(segment& seg, int count) {
  std::vector<robust_mutex*> all;
  for (int i = 0; i < count; ++i)
    all.push_back(&seg.find_or_construct<robust_mutex>("m" + std::to_string(i), "m"));
  return all;
}

// Locks until one is refused. Returns: how many were taken.
std::size_t take(const std::vector<robust_mutex*>& all, std::error_code& refusal) {
  std::size_t taken = 0;
  for (robust_mutex* each : all) {
    each->lock(refusal);
    if (refusal) break;
    ++taken;
  }
  return taken;
}

}  // namespace

// Attaching to one more segment takes one of the 1,900 away, so that the thread may already hold
// more than its limit elsewhere. The limit was compared for equality, which then never came:
// entries went over the end of the record.
TEST(held_limit, holds_when_another_segment_lowers_it_below_what_is_held) {
  segment first = make(1'000);
  segment second = make(1'000);
  segment third = make(10);
  const auto in_first = mutexes_in(first, 1'000);
  const auto in_second = mutexes_in(second, 1'000);
  const auto in_third = mutexes_in(third, 1);
  std::error_code refusal;
  ASSERT_EQ(take(in_first, refusal), 1'000U);
  const std::size_t taken = take(in_second, refusal);
  EXPECT_EQ(refusal, errc::too_many_locks);
  EXPECT_EQ(taken, 898U);  // 1,900 less the first 1,000 and two liveness mutexes

  in_third[0]->lock(refusal);
  EXPECT_EQ(refusal, errc::too_many_locks);
  for (std::size_t i = taken; i < in_second.size(); ++i) {
    in_second[i]->lock(refusal);
    EXPECT_EQ(refusal, errc::too_many_locks) << "mutex " << i;
  }
  // A reader needs a place for a moment where a writer, or a dead one's closed gate, is in its way.
  auto& shared = third.find_or_construct<robust_shared_mutex>("shared", "m");
  reinterpret_cast<detail::shared_lock_bytes&>(shared).gate = detail::gate_closed;
  shared.lock_shared();
  shared.unlock_shared();
  for (std::size_t i = 0; i < taken; ++i) in_second[i]->unlock();
  for (robust_mutex* each : in_first) each->unlock();
  in_third[0]->lock();
  in_third[0]->unlock();
}

// A class remembers size and alignment of what it guards, not the name alone: a program in which
// the type has grown must not repair with it what an older program made.
TEST(lock_class, refuses_the_repair_of_a_type_of_the_same_name_that_has_grown) {
  segment seg = make(8);
  seg.find_or_construct<guarded<long>>("x", "count");
  detail::guarded_type grown = detail::guarded_type_of<long>();
  grown.hash = detail::hash_of_type(grown.name, sizeof(long) * 2, alignof(long),
                                    {sizeof(long) * 2, alignof(long), 0});
  try {
    const auto repair = detail::on_guarded_owner_death(
        seg, "count", grown, [](void*, const owner_death&) { return repaired; });
    FAIL() << "registered";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), errc::type_mismatch) << error.what();
  }
}

TEST(repair, an_empty_function_is_refused) {
  segment seg = make(8);
  try {
    const auto registration = on_owner_death(seg, "class", repair_callback());
    FAIL() << "registered";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::invalid_argument) << error.what();
  }
}
