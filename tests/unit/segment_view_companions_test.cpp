// What segment_view reports of objects, work queues and permit pools.
#include <outlive/segment_view.hpp>

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include <outlive/guarded.hpp>
#include <outlive/permit_pool.hpp>
#include <outlive/work_queue.hpp>

#include "support/child.hpp"
#include "sys/process.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

struct odd_job {
  char bytes[13];
};
using odd_queue = work_queue<odd_job, 9>;

// A queue and a pool behind other members.
struct office {
  long before = 0;
  odd_queue jobs{work_queue_options{.max_tries = 2}};
  permit_pool<8> desks{4};
};

}  // namespace
}  // namespace outlive::testing

template <>
inline constexpr bool outlive::shareable<outlive::testing::office> = true;

namespace outlive::testing {
namespace {

class segment_view_companions_test : public ::testing::Test {
 protected:
  test_name name_;
  segment seg_ = segment::create(name_);
  office& office_ = seg_.find_or_construct<office>("office");

  [[nodiscard]] viewed_queue queue() const {
    const auto all = segment_view::open(name_).queues();
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? viewed_queue{} : all[0];
  }
  [[nodiscard]] viewed_permit_pool pool() const {
    const auto all = segment_view::open(name_).permit_pools();
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? viewed_permit_pool{} : all[0];
  }
  // Returns: the id of a worker that leased the next job and died.
  pid_t die_with_a_job() {
    child worker("worker", [&](agent&) {
      const auto job = office_.jobs.pop();
      raise(SIGKILL);
    });
    const pid_t pid = worker.pid();
    worker.expect_killed(SIGKILL);
    return pid;
  }
};

std::uint64_t place_in(const office& in, const void* member) {
  return static_cast<std::uint64_t>(static_cast<const char*>(member) -
                                    reinterpret_cast<const char*>(&in));
}

TEST_F(segment_view_companions_test, objects_have_the_name_and_type_of_the_source_code) {
  seg_.find_or_construct<guarded<long>>("total", "number");
  const auto all = segment_view::open(name_).objects();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].name, "office");
  EXPECT_EQ(all[0].type, "outlive::testing::(anonymous namespace)::office");
  EXPECT_EQ(all[0].size_bytes, sizeof(office));
  EXPECT_EQ(all[1].name, "total");
  EXPECT_EQ(all[1].size_bytes, sizeof(guarded<long>));
  EXPECT_TRUE(all[1].type.starts_with("outlive::guarded<long")) << all[1].type;
  EXPECT_GT(all[1].offset, all[0].offset);
}

TEST_F(segment_view_companions_test, queue_inside_an_object_is_counted_like_its_own_counts) {
  for (int i = 0; i < 5; ++i) office_.jobs.push({});
  const auto first = office_.jobs.pop();
  const viewed_queue seen = queue();
  EXPECT_EQ(seen.object, "office");
  EXPECT_EQ(seen.offset_in_object, place_in(office_, &office_.jobs));
  EXPECT_EQ(seen.capacity, 9U);
  EXPECT_EQ(seen.max_tries, 2U);
  EXPECT_EQ(seen.job_bytes, sizeof(odd_job));
  EXPECT_FALSE(seen.closed);
  EXPECT_EQ(seen.waiting, 4U);
  EXPECT_EQ(seen.leased, 1U);
  EXPECT_EQ(seen.dead_letters, 0U);
  ASSERT_EQ(seen.jobs.size(), 1U);
  EXPECT_EQ(seen.jobs[0].state, viewed_job_state::leased);
  EXPECT_EQ(seen.jobs[0].tries, 1U);
  EXPECT_EQ(seen.jobs[0].holder.pid, getpid());
  EXPECT_EQ(seen.jobs[0].holder.tid, detail::current_tid());
  EXPECT_TRUE(seen.jobs[0].died_on_it.empty());
  office_.jobs.close();
  EXPECT_TRUE(queue().closed);
}

TEST_F(segment_view_companions_test, leases_are_listed_in_the_order_of_the_queue) {
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 7; ++i) office_.jobs.push({});
    if (round == 1) break;
    for (int i = 0; i < 7; ++i) office_.jobs.pop().done();
  }
  // the ring's end is behind the second of these
  std::vector<lease<odd_job>> mine;
  for (int i = 0; i < 4; ++i) mine.push_back(office_.jobs.pop());
  std::vector<std::uint32_t> slots;
  for (const viewed_job& each : queue().jobs) slots.push_back(each.slot);
  EXPECT_EQ(slots, (std::vector<std::uint32_t>{7, 8, 0, 1}));
}

TEST_F(segment_view_companions_test, threads_that_died_on_a_job_are_named_with_it) {
  office_.jobs.push({});
  const pid_t first = die_with_a_job();
  viewed_queue seen = queue();
  EXPECT_EQ(seen.waiting, 1U);
  ASSERT_EQ(seen.jobs.size(), 1U);
  EXPECT_EQ(seen.jobs[0].state, viewed_job_state::waiting);
  ASSERT_EQ(seen.jobs[0].died_on_it.size(), 1U);
  EXPECT_EQ(seen.jobs[0].died_on_it[0].pid, first);
  EXPECT_FALSE(seen.jobs[0].holder.known);

  const pid_t second = die_with_a_job();
  seen = queue();
  EXPECT_EQ(seen.waiting, 0U);
  EXPECT_EQ(seen.dead_letters, 1U);
  ASSERT_EQ(seen.jobs.size(), 1U);
  EXPECT_EQ(seen.jobs[0].state, viewed_job_state::dead_letter);
  EXPECT_EQ(seen.jobs[0].tries, 2U);
  ASSERT_EQ(seen.jobs[0].died_on_it.size(), 2U);
  EXPECT_EQ(seen.jobs[0].died_on_it[0].pid, first);
  EXPECT_EQ(seen.jobs[0].died_on_it[1].pid, second);

  const auto letter = office_.jobs.pop_dead_letter();
  seen = queue();
  EXPECT_EQ(seen.dead_letters, 1U);
  ASSERT_EQ(seen.jobs.size(), 1U);
  EXPECT_EQ(seen.jobs[0].state, viewed_job_state::examined);
  EXPECT_EQ(seen.jobs[0].holder.pid, getpid());
}

TEST_F(segment_view_companions_test, dead_worker_is_named_after_its_record_was_reused) {
  for (int i = 0; i < 2; ++i) office_.jobs.push({});
  const pid_t first = die_with_a_job(), second = die_with_a_job();
  for (int i = 0; i < 3; ++i) {  // each takes the first record that is free
    child other("other", [&](agent&) { static_cast<void>(office_.desks.try_acquire()); });
    other.expect_exit(0);
  }
  const viewed_queue seen = queue();
  ASSERT_EQ(seen.jobs.size(), 2U);
  for (const auto& [job, pid] : {std::pair(seen.jobs[0], first), std::pair(seen.jobs[1], second)}) {
    ASSERT_EQ(job.died_on_it.size(), 1U);
    EXPECT_EQ(job.died_on_it[0].pid, pid);
  }
}

TEST_F(segment_view_companions_test, two_looks_show_how_long_a_job_is_leased) {
  office_.jobs.push({});
  auto job = office_.jobs.pop();
  hold_times times;
  const hold_times::time_point start{};
  times.update({queue().jobs.at(0).hold}, start);
  times.update({queue().jobs.at(0).hold}, start + std::chrono::seconds(3));
  EXPECT_EQ(times.held_for(queue().jobs.at(0).hold), std::chrono::seconds(3));
  job.fail();
  job = office_.jobs.pop();
  times.update({queue().jobs.at(0).hold}, start + std::chrono::seconds(4));
  EXPECT_EQ(times.held_for(queue().jobs.at(0).hold), std::nullopt) << "another lease";
}

TEST_F(segment_view_companions_test, permits_are_free_held_or_left_by_the_dead) {
  const permit one = office_.desks.acquire(), two = office_.desks.acquire();
  child victim("victim", [&](agent&) {
    const permit mine = office_.desks.acquire();
    raise(SIGKILL);
  });
  victim.expect_killed(SIGKILL);
  const viewed_permit_pool seen = pool();
  EXPECT_EQ(seen.object, "office");
  EXPECT_EQ(seen.offset_in_object, place_in(office_, &office_.desks));
  EXPECT_EQ(seen.permits, 4U);
  EXPECT_EQ(seen.free, 2U);
  EXPECT_EQ(seen.abandoned, 1U);
  ASSERT_EQ(seen.holders.size(), 1U);
  EXPECT_EQ(seen.holders[0].pid, getpid());
  EXPECT_EQ(seen.holders[0].permits, 2U);
}

TEST_F(segment_view_companions_test, looking_changes_no_byte) {
  office_.jobs.push({});
  die_with_a_job();
  const permit one = office_.desks.acquire();
  const auto before = segment_file(name_.path()).read();
  const segment_view view = segment_view::open(name_);
  EXPECT_EQ(view.objects().size() + view.queues().size() + view.permit_pools().size(), 3U);
  EXPECT_EQ(segment_file(name_.path()).read(), before);
}

TEST_F(segment_view_companions_test, damaged_numbers_make_no_queue_and_no_pool) {
  auto* const bytes = reinterpret_cast<std::uint32_t*>(&office_.jobs);
  for (const int field : {0, 1, 2, 3}) {  // magic, capacity, tries, bytes of a job
    const std::uint32_t was = bytes[field];
    for (const std::uint32_t wrong : {0U, 0xffffffffU, 0x100000U}) {
      bytes[field] = wrong;
      EXPECT_TRUE(segment_view::open(name_).queues().empty()) << field << ' ' << wrong;
    }
    bytes[field] = was;
  }
  EXPECT_EQ(segment_view::open(name_).queues().size(), 1U);
  auto* const pool = reinterpret_cast<std::uint32_t*>(&office_.desks);
  for (const int field : {1, 2, 3}) {  // magic, permits, words
    const std::uint32_t was = pool[field];
    for (const std::uint32_t wrong : {0U, 0xffffffffU}) {
      pool[field] = wrong;
      EXPECT_TRUE(segment_view::open(name_).permit_pools().empty()) << field << ' ' << wrong;
    }
    pool[field] = was;
  }
  EXPECT_EQ(segment_view::open(name_).permit_pools().size(), 1U);
}

}  // namespace
}  // namespace outlive::testing
