// Jobs among the threads of one process: order, leases, tries, dead letters.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <outlive/outlive.hpp>

namespace outlive {
namespace {

using namespace std::chrono_literals;

struct job {
  long number = 0;
  char text[40] = {};
};
using small_queue = work_queue<job, 4>;

class work_queue_test : public ::testing::Test {
 protected:
  void expect_counts(std::uint32_t waiting, std::uint32_t leased, std::uint32_t dead_letters) {
    EXPECT_EQ(queue_.waiting(), waiting);
    EXPECT_EQ(queue_.leased(), leased);
    EXPECT_EQ(queue_.dead_letters(), dead_letters);
  }
  /// Pops a job as often as it may be tried, and fails each time.
  void make_dead_letter(long number) {
    queue_.push({number, {}});
    for (int i = 0; i < 3; ++i) queue_.pop().fail();
  }

  segment seg_ = segment::anonymous();
  small_queue& queue_ = seg_.find_or_construct<small_queue>("jobs");
};

TEST_F(work_queue_test, a_job_comes_out_as_it_went_in_and_is_gone_when_done) {
  queue_.push({7, "seven"});
  expect_counts(1, 0, 0);
  auto one = queue_.pop();
  ASSERT_TRUE(one);
  EXPECT_EQ(one->number, 7);
  EXPECT_STREQ((*one).text, "seven");
  EXPECT_EQ(one.tries(), 1u);
  EXPECT_TRUE(one.died_on_it().empty());
  expect_counts(0, 1, 0);
  EXPECT_FALSE(queue_.try_pop());
  one.done();
  EXPECT_FALSE(one);
  expect_counts(0, 0, 0);
  EXPECT_EQ(queue_.capacity(), 4u);
}

// While a consumer holds jobs, a producer skips their slots, and tail gets far ahead of the first
// job that waits.
TEST_F(work_queue_test, first_in_first_out_while_jobs_are_done_in_any_order) {
  std::mt19937 random(7);
  std::vector<lease<job>> held;
  long pushed = 0, popped = 0;
  for (int i = 0; i < 100'000; ++i) {
    switch (random() % 3) {
      case 0:
        if (queue_.try_push({pushed, {}})) ++pushed;
        break;
      case 1:
        if (auto one = queue_.try_pop()) {
          ASSERT_EQ(one->number, popped++);
          held.push_back(std::move(one));
        }
        break;
      default:
        if (held.empty()) break;
        std::swap(held[random() % held.size()], held.back());
        held.back().done();
        held.pop_back();
    }
  }
  for (auto& one : held) one.done();
  EXPECT_GT(popped, 10'000);
}

// Each push goes almost once round the ring, to the only free slot, just before tail.
TEST_F(work_queue_test, first_in_first_out_when_tail_is_as_many_rounds_ahead_as_there_are_slots) {
  constexpr long slots = 32;
  auto& queue = seg_.find_or_construct<work_queue<long, slots>>("many rounds");
  std::vector<lease<long>> held;
  for (long i = 0; i < slots - 1; ++i) {
    queue.push(i);
    held.push_back(queue.pop());
  }
  queue.push(slots - 1);
  for (long i = slots; !held.empty(); ++i) {
    held.back().done();
    held.pop_back();
    queue.push(i);
  }
  for (long i = slots - 1; i < 2 * slots - 1; ++i) {
    auto one = queue.try_pop();
    ASSERT_TRUE(one);
    EXPECT_EQ(*one, i);
    one.done();
  }
}

TEST_F(work_queue_test, first_in_first_out_while_the_ring_goes_round) {
  long pushed = 0, popped = 0;
  for (int round = 0; round < 100; ++round) {
    const int many = 1 + round % 4;
    for (int i = 0; i < many; ++i) queue_.push({pushed++, {}});
    for (int i = 0; i < many; ++i) {
      auto one = queue_.pop();
      EXPECT_EQ(one->number, popped++);
      one.done();
    }
  }
  expect_counts(0, 0, 0);
}

// After any number of rounds: the state of a slot has a few bits of the lap alone.
TEST_F(work_queue_test, a_job_that_is_given_back_after_many_rounds_is_the_next) {
  for (int rounds = 1; rounds < 20; ++rounds) {
    queue_.push({-1, {}});
    auto kept = queue_.pop();
    for (long i = 0; i < 3 * rounds; ++i) {
      queue_.push({i, {}});
      auto one = queue_.pop();
      EXPECT_EQ(one->number, i);
      one.done();
    }
    for (long i = 0; i < 2; ++i) queue_.push({i, {}});
    kept.give_back();
    for (long i = -1; i < 2; ++i) {
      auto one = queue_.pop();
      EXPECT_EQ(one->number, i) << rounds;
      one.done();
    }
  }
}

// The hints count laps in 32 bits. A queue of four that is used a million times a second comes to
// the end of them in five hours.
TEST_F(work_queue_test, first_in_first_out_when_the_laps_wrap) {
  for (const std::uint64_t lap : {0xffff'fff0ull, 0x7fff'fff0ull}) {
    auto& head = reinterpret_cast<detail::work_queue_head&>(queue_);
    head.head = head.tail = lap << 32;
    long pushed = 0, popped = 0;
    while (pushed < 400) {
      while (pushed - popped < 3) queue_.push({pushed++, {}});
      auto one = queue_.try_pop();
      ASSERT_TRUE(one);
      EXPECT_EQ(one->number, popped++);
      one.done();
    }
    EXPECT_EQ(static_cast<std::uint32_t>(head.tail >> 32), static_cast<std::uint32_t>(lap + 100));
    while (auto rest = queue_.try_pop()) {
      EXPECT_EQ(rest->number, popped++);
      rest.done();
    }
    EXPECT_EQ(popped, pushed);
  }
}

TEST_F(work_queue_test, hints_of_any_value_hide_no_job) {
  auto& head = reinterpret_cast<detail::work_queue_head&>(queue_);
  const std::uint64_t values[] = {0, 3, 77, 1ull << 32, 1ull << 62, 1ull << 63, ~0ull, ~0ull << 32};
  for (const std::uint64_t first : values) {
    for (const std::uint64_t second : values) {
      for (long i = 0; i < 3; ++i) queue_.push({i, {}});
      head.head = first;
      head.tail = second;
      long sum = 0;
      for (int i = 0; i < 3; ++i) {
        auto one = queue_.try_pop();
        ASSERT_TRUE(one) << std::hex << first << ' ' << second;
        sum += one->number;
        one.done();
      }
      EXPECT_EQ(sum, 3);
      EXPECT_FALSE(queue_.try_pop());
    }
  }
}

TEST_F(work_queue_test, a_slot_that_is_leased_for_long_is_passed_by_in_order) {
  for (long i = 0; i < 3; ++i) queue_.push({i, {}});
  auto slow = queue_.pop();
  long next = 1;
  for (long i = 3; i < 50; ++i) {
    queue_.push({i, {}});
    auto one = queue_.pop();
    EXPECT_EQ(one->number, next++);
    one.done();
  }
  EXPECT_EQ(slow->number, 0);
  slow.done();
  expect_counts(2, 0, 0);
}

TEST_F(work_queue_test, full_and_empty) {
  for (long i = 0; i < 4; ++i) EXPECT_TRUE(queue_.try_push({i, {}}));
  EXPECT_FALSE(queue_.try_push({4, {}}));
  EXPECT_FALSE(queue_.try_push_for({4, {}}, 1ms));
  EXPECT_FALSE(queue_.try_push_for({4, {}}, -1h));
  EXPECT_FALSE(queue_.try_push_until({4, {}}, std::chrono::system_clock::now()));
  EXPECT_FALSE(queue_.try_push_until({4, {}}, std::chrono::steady_clock::time_point::min()));
  auto first = queue_.pop();
  EXPECT_FALSE(queue_.try_push({4, {}})) << "a leased job has its slot";
  first.done();
  EXPECT_TRUE(queue_.try_push({4, {}}));
  for (long i = 1; i < 5; ++i) {
    auto one = queue_.try_pop_for(1h);
    EXPECT_EQ(one->number, i);
    one.done();
  }
  EXPECT_FALSE(queue_.try_pop());
  EXPECT_FALSE(queue_.try_pop_for(1ms));
  EXPECT_FALSE(queue_.try_pop_for(-1h));
  EXPECT_FALSE(queue_.try_pop_until(std::chrono::system_clock::now() - 1h));
  EXPECT_FALSE(queue_.try_pop_until(std::chrono::system_clock::time_point::min()));
}

// As rolling restarts do, at each of which a healthy worker stops.
TEST_F(work_queue_test, a_job_that_is_given_back_any_number_of_times_is_no_dead_letter) {
  queue_.push({7, {}});
  for (int i = 0; i < 20; ++i) {
    auto one = queue_.pop();
    EXPECT_EQ(one.tries(), 1u);
    if (i % 2 == 0) one.give_back();  // or its end does
  }
  expect_counts(1, 0, 0);
  queue_.pop().fail();
  queue_.pop().give_back();
  auto one = queue_.pop();
  EXPECT_EQ(one.tries(), 2u) << "a failed try counts";
  EXPECT_TRUE(one.died_on_it().empty());
  one.fail();
  queue_.pop().fail();
  expect_counts(0, 0, 1);
}

TEST_F(work_queue_test, a_job_that_failed_is_the_next_and_counts_the_try) {
  for (long i = 0; i < 3; ++i) queue_.push({i, {}});
  auto zero = queue_.pop();
  auto one = queue_.pop();
  zero.fail();
  EXPECT_FALSE(zero);
  expect_counts(2, 1, 0);
  auto again = queue_.pop();
  EXPECT_EQ(again->number, 0);
  EXPECT_EQ(again.tries(), 2u);
  EXPECT_TRUE(again.died_on_it().empty()) << "nobody died";
  EXPECT_EQ(queue_.pop()->number, 2);
}

TEST_F(work_queue_test, a_job_that_is_given_back_a_round_later_does_not_disturb_the_order) {
  queue_.push({100, {}});
  auto slow = queue_.pop();
  for (long i = 0; i < 13; ++i) {
    queue_.push({i, {}});
    queue_.pop().done();
  }
  for (long i = 13; i < 15; ++i) queue_.push({i, {}});
  slow.give_back();
  for (const long expected : {100, 13, 14}) {
    auto one = queue_.pop();
    EXPECT_EQ(one->number, expected);
    one.done();
  }
}

TEST_F(work_queue_test, an_exception_is_a_failed_try_and_no_lost_job) {
  queue_.push({1, {}});
  for (unsigned i = 1; i <= 3; ++i) {
    try {
      const auto one = queue_.pop();
      EXPECT_EQ(one.tries(), i);
      throw std::runtime_error("the worker fails");
    } catch (const std::runtime_error&) {
    }
  }
  expect_counts(0, 0, 1);
  EXPECT_FALSE(queue_.try_pop());
}

TEST_F(work_queue_test, after_so_many_tries_a_job_is_a_dead_letter_that_can_be_removed) {
  make_dead_letter(5);
  expect_counts(0, 0, 1);
  EXPECT_FALSE(queue_.try_pop());
  auto letter = queue_.pop_dead_letter();
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->number, 5);
  EXPECT_EQ(letter.tries(), 3u);
  EXPECT_TRUE(letter.died_on_it().empty());
  expect_counts(0, 0, 1);
  EXPECT_FALSE(queue_.pop_dead_letter()) << "somebody has it in hand";
  letter.done();
  expect_counts(0, 0, 0);
  EXPECT_FALSE(queue_.pop_dead_letter());
}

TEST_F(work_queue_test, a_dead_letter_that_is_tried_again_begins_anew) {
  make_dead_letter(5);
  queue_.pop_dead_letter().retry();
  expect_counts(1, 0, 0);
  auto one = queue_.pop();
  EXPECT_EQ(one->number, 5);
  EXPECT_EQ(one.tries(), 1u);
  one.done();
  expect_counts(0, 0, 0);
}

TEST_F(work_queue_test, a_dead_letter_that_is_only_looked_at_stays_one) {
  make_dead_letter(5);
  static_cast<void>(queue_.pop_dead_letter());
  expect_counts(0, 0, 1);
  EXPECT_EQ(queue_.pop_dead_letter()->number, 5);
}

TEST_F(work_queue_test, dead_letters_take_slots) {
  for (long i = 0; i < 4; ++i) make_dead_letter(i);
  expect_counts(0, 0, 4);
  EXPECT_FALSE(queue_.try_push({9, {}}));
  std::vector<dead_letter<job>> letters;
  while (auto letter = queue_.pop_dead_letter()) letters.push_back(std::move(letter));
  ASSERT_EQ(letters.size(), 4u);
  for (auto& letter : letters) letter.done();
  EXPECT_TRUE(queue_.try_push({9, {}}));
}

TEST_F(work_queue_test, a_lease_moves_and_is_given_back_once) {
  queue_.push({1, {}});
  queue_.push({2, {}});
  auto one = queue_.pop();
  auto moved = std::move(one);
  EXPECT_FALSE(one);
  EXPECT_EQ(moved->number, 1);
  moved = queue_.pop();
  EXPECT_EQ(moved->number, 2);
  expect_counts(1, 1, 0);
  moved = {};
  expect_counts(2, 0, 0);
}

TEST_F(work_queue_test, a_lease_of_a_thread_that_has_ended_is_void) {
  queue_.push({1, {}});
  std::optional<lease<job>> kept;
  std::uint64_t who = 0;
  std::thread([&] {
    kept.emplace(queue_.pop());
    who = static_cast<std::uint64_t>(kept->tries());
  }).join();
  EXPECT_EQ(who, 1u);
  expect_counts(1, 0, 0);
  auto again = queue_.pop();
  EXPECT_EQ(again.tries(), 2u);
  ASSERT_EQ(again.died_on_it().size(), 1u);
  kept.reset();  // void: gives nothing back that is another's by now
  expect_counts(0, 1, 0);
  again.done();
}

TEST_F(work_queue_test, a_record_with_a_lease_is_not_given_back) {
  std::optional<segment> own = segment::anonymous();
  auto& queue = own->find_or_construct<small_queue>("jobs");
  queue.push({1, {}});
  auto one = queue.pop();
  own.reset();  // the last handle: the lease keeps the mapping
  EXPECT_EQ(one->number, 1);
  one.done();
}

// Sizes and alignments in which the parts of a slot could run into each other.
template <class T, std::uint32_t Capacity>
void fill_and_empty(const char* name) {
  auto seg = segment::anonymous();
  auto& queue =
      seg.find_or_construct<work_queue<T, Capacity>>(name, work_queue_options{.max_tries = 8});
  for (std::uint32_t i = 0; i < Capacity; ++i) {
    T value{};
    std::memset(static_cast<void*>(&value), static_cast<int>(i + 1), sizeof value);
    ASSERT_TRUE(queue.try_push(value));
  }
  std::vector<lease<T>> all;
  for (unsigned i = 0; i < 7; ++i) {
    while (auto one = queue.try_pop()) all.push_back(std::move(one));
    ASSERT_EQ(all.size(), Capacity);
    for (auto& each : all) each.fail();
    all.clear();
  }
  while (auto one = queue.try_pop()) all.push_back(std::move(one));
  ASSERT_EQ(all.size(), Capacity);
  std::vector<bool> seen(Capacity);
  for (auto& each : all) {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(&*each);
    seen[bytes[0] - 1u] = true;
    for (std::size_t i = 0; i < sizeof(T); ++i) ASSERT_EQ(bytes[i], bytes[0]);
    EXPECT_EQ(each.tries(), 8u);
    each.done();
  }
  for (const bool each : seen) EXPECT_TRUE(each);
  EXPECT_EQ(queue.waiting() + queue.leased() + queue.dead_letters(), 0u);
}

struct three_bytes {
  unsigned char bytes[3];
};
struct alignas(64) line {
  unsigned char bytes[64];
};
struct large {
  unsigned char bytes[1001];
};

TEST(work_queue_layout, jobs_of_any_size_and_alignment) {
  fill_and_empty<char, 1>("char");
  fill_and_empty<three_bytes, 9>("three");
  fill_and_empty<line, 8>("line");
  fill_and_empty<large, 17>("large");
}

}  // namespace
}  // namespace outlive
