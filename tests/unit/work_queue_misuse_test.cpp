// Work queues under misuse and damage: other threads, repairs, ordinary memory, bytes that no queue
// wrote.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <new>
#include <string>
#include <system_error>
#include <thread>

#include <outlive/outlive.hpp>

#include "format/job_state.hpp"
#include "format/layout.hpp"
#include "scenes/queue_states.hpp"
#include "support/bounded.hpp"

namespace outlive {
namespace {

using namespace std::chrono_literals;
using detail::job_kind;
using detail::job_state;
using queue_of_four = work_queue<long, 4>;

template <class Function>
void expect_error(errc code, Function function, const char* what) {
  try {
    function();
    ADD_FAILURE() << what << ": no error";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), code) << what << ": " << error.what();
  }
}

class work_queue_misuse_test : public ::testing::Test {
 protected:
  [[nodiscard]] detail::work_queue_bytes& head() {
    return reinterpret_cast<detail::work_queue_bytes&>(queue_);
  }
  [[nodiscard]] detail::shared_u64& state(unsigned slot) {
    return outlive::testing::state_of(queue_, slot);
  }
  void expect_usable() {
    ASSERT_TRUE(queue_.try_push(1));
    auto one = queue_.try_pop();
    ASSERT_TRUE(one);
    one.done();
  }

  segment seg_ = segment::anonymous();
  queue_of_four& queue_ = seg_.find_or_construct<queue_of_four>("jobs");
};

TEST_F(work_queue_misuse_test, another_thread_can_look_at_a_lease_and_nothing_else) {
  queue_.push(1);
  auto mine = queue_.pop();
  std::thread([&] {
    queue_.push(2);
    auto other = queue_.pop();  // so that it has a record
    EXPECT_EQ(*mine, 1);
    expect_error(
        errc::not_owner, [&] { mine.done(); }, "done() by another thread");
    expect_error(
        errc::not_owner, [&] { mine.give_back(); }, "give_back() by another thread");
    expect_error(
        errc::not_owner, [&] { mine.fail(); }, "fail() by another thread");
    other.done();
  }).join();
  EXPECT_EQ(queue_.leased(), 1u);
  mine.done();  // it is this thread's as before
  expect_error(
      errc::not_owner, [&] { mine.done(); }, "a second done()");
  EXPECT_EQ(queue_.waiting(), 0u);
}

TEST_F(work_queue_misuse_test, a_lease_that_ends_in_another_thread_stays_with_its_own) {
  set_misuse_handler([](const misuse&) {});
  queue_.push(1);
  auto mine = queue_.pop();
  std::thread([taken = std::move(mine)]() mutable { auto ends_here = std::move(taken); }).join();
  EXPECT_EQ(queue_.leased(), 1u) << "until this thread ends";
}

TEST_F(work_queue_misuse_test, a_dead_letter_of_another_thread) {
  queue_.push(1);
  for (int i = 0; i < 3; ++i) queue_.pop().fail();
  auto letter = queue_.pop_dead_letter();
  std::thread([&] {
    expect_error(
        errc::not_owner, [&] { letter.retry(); }, "retry() by another thread");
    expect_error(
        errc::not_owner, [&] { letter.done(); }, "done() by another thread");
  }).join();
  letter.retry();
  EXPECT_EQ(queue_.waiting(), 1u);
}

TEST_F(work_queue_misuse_test, refusals) {
  alignas(64) char memory[sizeof(queue_of_four)];
  expect_error(
      errc::not_in_segment, [&] { new (memory) queue_of_four; }, "ordinary memory");
  for (const std::uint32_t tries : {0u, 9u}) {
    EXPECT_THROW(
        seg_.find_or_construct<queue_of_four>("bad", work_queue_options{.max_tries = tries}),
        std::system_error);
  }
  EXPECT_EQ(seg_.find<queue_of_four>("bad"), nullptr);
  EXPECT_THROW(static_cast<void>((seg_.find<work_queue<long, 5>>("jobs"))), std::system_error)
      << "another capacity is another type";
}

TEST_F(work_queue_misuse_test, a_damaged_head_is_refused_by_all) {
  for (const auto damage :
       {&detail::work_queue_bytes::magic, &detail::work_queue_bytes::capacity,
        &detail::work_queue_bytes::max_tries, &detail::work_queue_bytes::job_bytes}) {
    for (const std::uint32_t value : {0u, 77u}) {
      const std::uint32_t before = head().*damage;
      head().*damage = value;
      // A queue with other slots is another release's, and no damage.
      const bool is_shape = damage == &detail::work_queue_bytes::capacity ||
                            damage == &detail::work_queue_bytes::job_bytes;
      const errc expected = is_shape && value != 0 ? errc::type_mismatch : errc::damaged;
      expect_error(
          expected, [&] { queue_.push(1); }, "push");
      expect_error(
          expected, [&] { static_cast<void>(queue_.try_push(1)); }, "try_push");
      expect_error(
          expected, [&] { static_cast<void>(queue_.pop()); }, "pop");
      expect_error(
          expected, [&] { static_cast<void>(queue_.pop_dead_letter()); }, "pop_dead_letter");
      expect_error(
          expected, [&] { static_cast<void>(queue_.waiting()); }, "waiting");
      head().*damage = before;
    }
  }
  expect_usable();
}

TEST_F(work_queue_misuse_test, a_slot_with_a_state_that_no_queue_wrote_is_left_alone) {
  const detail::job_holder_id me{1, 1}, nobody{0xffff, 1};
  const std::uint64_t words[] = {
      0,
      ~std::uint64_t{0},
      job_state(job_kind::free, 1).word(),
      job_state(job_kind::free, 0, me).word(),
      job_state(job_kind::filling, 0).word(),
      job_state(job_kind::filling, 0, nobody).word(),
      job_state(job_kind::filling, 1, me).word(),
      job_state(job_kind::ready, 3).word(),
      job_state(job_kind::ready, 127).word(),
      job_state(job_kind::ready, 0, me).word(),
      job_state(job_kind::leased, 0, me).word(),
      job_state(job_kind::leased, 4, me).word(),
      job_state(job_kind::leased, 1).word(),
      job_state(job_kind::leased, 1, nobody).word(),
      job_state(job_kind::dead_letter, 0).word(),
      job_state(job_kind::dead_letter, 4).word(),
      job_state(job_kind::dead_letter, 1, me).word(),
      job_state(job_kind::examined, 0, me).word(),
      job_state(job_kind::examined, 3, nobody).word(),
  };
  for (const std::uint64_t word : words) {
    for (unsigned slot = 0; slot < 3; ++slot) state(slot) = word;
    expect_usable();
    expect_usable();
    EXPECT_FALSE(queue_.try_pop()) << std::hex << word;
    EXPECT_FALSE(queue_.pop_dead_letter()) << std::hex << word;
    EXPECT_EQ(queue_.waiting() + queue_.leased() + queue_.dead_letters(), 0u) << std::hex << word;
    for (unsigned slot = 0; slot < 3; ++slot) EXPECT_EQ(state(slot), word);
    queue_.push(1);
    EXPECT_FALSE(queue_.try_push(1)) << std::hex << word << ": it takes capacity";
    queue_.pop().done();
  }
}

TEST_F(work_queue_misuse_test, hints_may_say_anything) {
  for (const std::uint64_t head_hint : {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{7} << 32,
                                        ~std::uint64_t{0}, std::uint64_t{0xffffffff} << 32}) {
    for (const std::uint64_t tail_hint :
         {std::uint64_t{0}, std::uint64_t{4}, std::uint64_t{7} << 32 | 2, ~std::uint64_t{0}}) {
      head().head = head_hint;
      head().tail = tail_hint;
      for (long i = 0; i < 4; ++i)
        ASSERT_TRUE(queue_.try_push(i)) << std::hex << head_hint << ' ' << tail_hint;
      ASSERT_FALSE(queue_.try_push(9));
      for (int i = 0; i < 4; ++i) {
        auto one = queue_.try_pop();
        ASSERT_TRUE(one) << std::hex << head_hint << ' ' << tail_hint;
        one.done();
      }
      ASSERT_FALSE(queue_.try_pop());
    }
  }
}

TEST_F(work_queue_misuse_test, words_of_lives_that_are_over_are_of_the_dead) {
  queue_.push(1);
  queue_.push(2);
  // a life that record 0 has not had
  state(0) = job_state(job_kind::leased, 1, {1, 0x7777777}).word();
  state(1) = job_state(job_kind::leased, 3, {1, 0x7777777}).word();   // the last try
  state(2) = job_state(job_kind::filling, 0, {1, 0x7777777}).word();  // of a push that never ended
  state(3) = job_state(job_kind::examined, 3, {1, 0x7777777}).word();
  EXPECT_EQ(queue_.waiting(), 1u);
  EXPECT_EQ(queue_.dead_letters(), 2u);
  auto one = queue_.try_pop();
  EXPECT_EQ(one.tries(), 2u);
  ASSERT_EQ(one.died_on_it().size(), 1u);
  EXPECT_FALSE(one.died_on_it()[0].known);
  EXPECT_TRUE(queue_.try_push(3));
  auto first = queue_.pop_dead_letter();
  auto second = queue_.pop_dead_letter();
  EXPECT_TRUE(first && second);
}

// A job must be read to be lost: the lease that a dying process had forged to look like another
// thread's.
TEST_F(work_queue_misuse_test, done_does_not_end_what_is_another_ones_by_now) {
  queue_.push(1);
  auto mine = queue_.pop();
  state(0) = job_state(job_kind::ready, 1).word();
  expect_error(
      errc::not_owner, [&] { mine.done(); }, "done() of a job that is not leased");
  EXPECT_EQ(queue_.waiting(), 1u);
}

// As a member of a struct, where the segment knows the type of the struct alone.
TEST_F(work_queue_misuse_test, a_queue_of_another_job_type_is_named_with_both) {
  struct larger {
    long numbers[3];
  };
  auto& of_another_release = reinterpret_cast<work_queue<larger, 4>&>(queue_);
  try {
    of_another_release.push({});
    ADD_FAILURE() << "a job of 24 bytes was pushed into a queue of longs";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), errc::type_mismatch);
    EXPECT_NE(std::string(error.what())
                  .find("found a queue with 4 slots for jobs of 8 bytes, expected a queue with 4 "
                        "slots for jobs of 24 bytes"),
              std::string::npos)
        << error.what();
  }
}

TEST_F(work_queue_misuse_test, a_destroyed_queue_is_refused) {
  auto& other = seg_.find_or_construct<queue_of_four>("other");
  EXPECT_TRUE(seg_.destroy<queue_of_four>("other"));
  expect_error(
      errc::damaged, [&] { other.push(1); }, "push into a destroyed queue");
}

TEST_F(work_queue_misuse_test, inside_a_repair_only_without_waiting) {
  auto& mutex = seg_.find_or_construct<robust_mutex>("mutex", "class");
  bool ran = false;
  const auto repair = on_owner_death(mutex, [&](const owner_death&) {
    ran = true;
    expect_error(
        errc::in_repair, [&] { queue_.push(1); }, "push() in a repair");
    expect_error(
        errc::in_repair, [&] { static_cast<void>(queue_.pop()); }, "pop() in a repair");
    EXPECT_TRUE(queue_.try_push(1));
    auto one = queue_.try_pop();
    EXPECT_TRUE(one);
    one.done();
    return repaired;
  });
  std::thread([&] { mutex.lock(); }).join();
  const std::scoped_lock hold(mutex);
  EXPECT_TRUE(ran);
  EXPECT_EQ(queue_.waiting() + queue_.leased(), 0u);
}

}  // namespace
}  // namespace outlive
