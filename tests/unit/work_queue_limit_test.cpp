// Leases with a time limit: handed out again when their time is over, and refused then. A lease
// that is extended by nothing is over at once, so that no test depends on how long anything takes.
#include <gtest/gtest.h>

#include <poll.h>
#include <atomic>
#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>
#include <outlive/segment_view.hpp>

#include "format/layout.hpp"
#include "format/lease_clock.hpp"
#include "scenes/queue_states.hpp"
#include "support/bounded.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono_literals;
using detail::lease_clock;
using queue = work_queue<long, 4>;

std::atomic<int> misuses{0};

class work_queue_limit_test : public ::testing::Test {
 protected:
  ~work_queue_limit_test() override { set_misuse_handler(nullptr); }

  /// A lease of the next job, whose time is over.
  lease<long> pop_and_expire() {
    auto one = queue_.pop();
    one.extend(0ns);
    EXPECT_TRUE(one.expired());
    return one;
  }
  template <class Function>
  static void expect_refused(Function function, const char* what,
                             errc expected = errc::lease_expired) {
    try {
      function();
      ADD_FAILURE() << what << ": no error";
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code(), expected) << what << ": " << error.what();
    }
  }
  void expect_counts(std::uint32_t waiting, std::uint32_t leased, std::uint32_t dead_letters) {
    EXPECT_EQ(queue_.waiting(), waiting);
    EXPECT_EQ(queue_.leased(), leased);
    EXPECT_EQ(queue_.dead_letters(), dead_letters);
  }
  void count_misuses() {
    misuses = 0;
    set_misuse_handler([](const misuse&) { ++misuses; });
  }

  segment seg_ = segment::anonymous();
  queue& queue_ = seg_.find_or_construct<queue>("jobs", work_queue_options{.lease_limit = 1h});
  std::vector<lease<long>> kept_;
};

TEST_F(work_queue_limit_test, a_job_whose_lease_is_over_is_handed_out_again) {
  queue_.push(7);
  auto first = pop_and_expire();
  expect_counts(1, 0, 0);
  auto second = queue_.try_pop();
  ASSERT_TRUE(second);
  EXPECT_EQ(*second, 7);
  EXPECT_EQ(second.tries(), 2u) << "it was a try";
  EXPECT_TRUE(second.died_on_it().empty()) << "nobody died";
  ASSERT_EQ(second.expired_on_it().size(), 1u);
  EXPECT_TRUE(second.expired_on_it()[0].known);
  EXPECT_EQ(second.expired_on_it()[0].pid, getpid());
  expect_counts(0, 1, 0);
  expect_refused([&] { first.done(); }, "done()");
  expect_refused([&] { first.give_back(); }, "give_back()");
  expect_refused([&] { first.give_back(1h); }, "give_back() for later");
  expect_refused([&] { first.fail(); }, "fail()");
  expect_refused([&] { first.extend(); }, "extend()");
  expect_refused([&] { static_cast<void>(first.hand_over()); }, "hand_over()");
  expect_counts(0, 1, 0);
  EXPECT_TRUE(first);
  EXPECT_EQ(*first, 7) << "it can still be read";
  EXPECT_FALSE(second.expired());
  second.done();
  expect_counts(0, 0, 0);
  expect_refused([&] { first.done(); }, "done() of a job that is done");
}

TEST_F(work_queue_limit_test, until_somebody_gets_the_job_a_late_end_counts) {
  const std::vector<std::pair<const char*, std::function<void(lease<long>&)>>> ends{
      {"done", [](auto& one) { one.done(); }},
      {"give_back", [](auto& one) { one.give_back(); }},
      {"fail", [](auto& one) { one.fail(); }},
      {"its end", [](auto& one) { auto moved = std::move(one); }},
      {"hand_over", [](auto& one) { one.hand_over().take().give_back(); }}};
  for (const auto& [name, end] : ends) {
    SCOPED_TRACE(name);
    queue_.push(1);
    auto one = pop_and_expire();
    end(one);
    EXPECT_FALSE(one);
    auto again = queue_.try_pop();
    EXPECT_EQ(static_cast<bool>(again), name != std::string("done"));
    if (!again) continue;
    EXPECT_TRUE(again.expired_on_it().empty());
    EXPECT_FALSE(again.expired()) << "this lease has its own time";
    EXPECT_FALSE(queue_.try_pop());
    again.done();
  }
}

TEST_F(work_queue_limit_test, a_lease_that_is_extended_in_time_or_late_goes_on) {
  queue_.push(1);
  auto one = pop_and_expire();
  one.extend();
  EXPECT_FALSE(one.expired());
  EXPECT_FALSE(queue_.try_pop());
  const auto before = std::chrono::steady_clock::now();
  one.extend(2h);
  EXPECT_GE(one.expires_at(), before + 2h);
  EXPECT_LE(one.expires_at(), std::chrono::steady_clock::now() + 2h);
  one.done();
  expect_refused([&] { one.extend(); }, "extend() after done()", errc::not_owner);
}

TEST_F(work_queue_limit_test, the_time_of_an_earlier_lease_ends_no_later_one) {
  const std::vector<std::pair<const char*, std::function<void()>>> lives{
      {"done",
       [&] {
         pop_and_expire().done();
         queue_.push(2);
       }},
      {"given back", [&] { pop_and_expire().give_back(); }},
      {"given back for later",
       [&] {
         pop_and_expire().give_back(1h);
         for (unsigned slot = 0; slot < 4; ++slot) time_of(queue_, slot) = 1;
       }},
      {"failed", [&] { pop_and_expire().fail(); }},
      {"handed over and dropped", [&] { static_cast<void>(pop_and_expire().hand_over()); }},
      {"its thread ended", [&] { std::thread([&] { kept_.push_back(queue_.pop()); }).join(); }},
      {"a dead letter that is tried again", [&] {
         for (int i = 0; i < 2; ++i) queue_.pop().fail();
         auto last = pop_and_expire();
         queue_.pop_dead_letter().retry();
       }}};
  for (const auto& [name, live] : lives) {
    SCOPED_TRACE(name);
    queue_.push(1);
    live();
    auto next = queue_.try_pop();
    ASSERT_TRUE(next);
    EXPECT_FALSE(next.expired());
    EXPECT_FALSE(queue_.try_pop());
    expect_counts(0, 1, 0);
    next.done();
  }
}

TEST_F(work_queue_limit_test, after_the_last_try_it_is_a_dead_letter_that_nobody_died_on) {
  queue_.push(1);
  std::vector<lease<long>> hung;
  for (int i = 0; i < 3; ++i) hung.push_back(pop_and_expire());
  expect_counts(0, 0, 1);
  EXPECT_FALSE(queue_.try_pop());
  auto letter = queue_.pop_dead_letter();
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter.tries(), 3u);
  EXPECT_TRUE(letter.died_on_it().empty());
  EXPECT_EQ(letter.expired_on_it().size(), 3u);
  expect_refused([&] { hung.back().done(); }, "done() of the last try");
  letter.retry();
  auto anew = queue_.try_pop();
  ASSERT_TRUE(anew);
  EXPECT_EQ(anew.tries(), 1u);
  EXPECT_TRUE(anew.expired_on_it().empty());
  for (auto& one : hung) expect_refused([&] { one.done(); }, "done() of an earlier try");
  anew.done();
}

// Before the letter is examined no exchange has ended its last lease.
TEST_F(work_queue_limit_test, until_a_dead_letter_is_examined_a_late_done_counts) {
  queue_.push(1);
  for (int i = 0; i < 2; ++i) queue_.pop().fail();
  auto last = pop_and_expire();
  expect_counts(0, 0, 1);
  last.done();
  expect_counts(0, 0, 0);
  EXPECT_FALSE(queue_.pop_dead_letter());
}

// The words of the two leases of the state are the same: the same thread, try and round modulo 8.
TEST_F(work_queue_limit_test, an_old_lease_does_not_end_a_later_one_of_the_same_name) {
  queue_.push(1);
  auto old = pop_and_expire();
  queue_.pop().done();
  for (long i = 1; i < 8 * 4; ++i) {
    queue_.push(i);
    queue_.pop().done();
  }
  queue_.push(2);
  auto later = queue_.pop();
  expect_refused([&] { old.done(); }, "done()");
  expect_refused([&] { old.give_back(); }, "give_back()");
  old = {};
  expect_counts(0, 1, 0);
  EXPECT_EQ(*later, 2);
  later.done();
}

TEST_F(work_queue_limit_test, the_end_of_an_expired_lease_is_no_misuse) {
  count_misuses();
  queue_.push(1);
  {
    auto old = pop_and_expire();
    queue_.pop().done();
  }
  EXPECT_EQ(misuses.load(), 0) << "in its own thread";
  queue_.push(1);
  auto old = pop_and_expire();
  queue_.pop().done();
  std::thread([moved = std::move(old)]() mutable { auto ends = std::move(moved); }).join();
  EXPECT_EQ(misuses.load(), 0) << "in another thread";
  queue_.push(1);
  auto mine = queue_.pop();
  std::thread([moved = std::move(mine)]() mutable { auto ends = std::move(moved); }).join();
  EXPECT_EQ(misuses.load(), 1) << "others would wait an hour for this one";
}

TEST_F(work_queue_limit_test, another_thread_can_look_at_a_lease_and_nothing_else) {
  queue_.push(1);
  auto mine = queue_.pop();
  std::thread([&] {
    queue_.push(2);
    auto other = queue_.pop();
    EXPECT_EQ(*mine, 1);
    expect_refused([&] { mine.done(); }, "done()", errc::not_owner);
    expect_refused([&] { mine.extend(); }, "extend()", errc::not_owner);
    other.done();
  }).join();
  EXPECT_FALSE(mine.expired());
  mine.done();
}

TEST_F(work_queue_limit_test, a_lease_reads_its_own_job_whatever_is_in_the_slot) {
  queue_.push(7);
  auto old = pop_and_expire();
  queue_.pop().done();
  for (long i = 100; i < 104; ++i) queue_.push(i);
  EXPECT_EQ(*old, 7);
}

TEST_F(work_queue_limit_test, a_lease_that_is_handed_over_keeps_its_time) {
  queue_.push(1);
  auto mine = queue_.pop();
  mine.extend(2h);
  const auto over = mine.expires_at();
  auto handed = mine.hand_over();
  std::thread([&] {
    auto taken = handed.take();
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken.expires_at(), over + 1ns) << "the taker has a clock of its own";
    EXPECT_EQ(*taken, 1);
    taken.extend(0ns);
    auto again = queue_.try_pop();
    ASSERT_TRUE(again);
    EXPECT_EQ(again.expired_on_it().size(), 1u);
    again.done();
    expect_refused([&] { taken.done(); }, "done()");
  }).join();
  expect_counts(0, 0, 0);
}

TEST_F(work_queue_limit_test, a_lease_that_is_over_on_its_way_is_not_taken) {
  for (const bool is_taken : {true, false}) {
    queue_.push(1);
    auto handed = pop_and_expire().hand_over();
    auto again = queue_.try_pop();
    ASSERT_TRUE(again);
    if (is_taken) {
      std::thread([&] { EXPECT_FALSE(handed.take()); }).join();
    } else {
      handed = {};
    }
    EXPECT_FALSE(queue_.try_pop());
    again.done();
    expect_counts(0, 0, 0);
  }
}

TEST_F(work_queue_limit_test, several_leases_have_a_time_each) {
  for (long i = 0; i < 3; ++i) queue_.push(i);
  auto three = queue_.pop_many(3);
  ASSERT_EQ(three.size(), 3u);
  three[1].extend(0ns);
  auto again = queue_.pop_many(3);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(*again[0], 1);
  again[0].done();
  three[0].done();
  three[2].done();
  expect_counts(0, 0, 0);
}

TEST_F(work_queue_limit_test, a_sleeper_wakes_when_a_lease_is_over) {
  auto& quick = seg_.find_or_construct<queue>("quick", work_queue_options{.lease_limit = 20ms});
  quick.push(1);
  auto hung = quick.pop();
  auto again = quick.try_pop_for(default_timeout());
  ASSERT_TRUE(again);
  EXPECT_GE(std::chrono::steady_clock::now(), hung.expires_at());
  EXPECT_EQ(again.tries(), 2u);
  again.done();
}

TEST_F(work_queue_limit_test, a_descriptor_is_readable_when_a_lease_is_over) {
  auto& quick = seg_.find_or_construct<queue>("quick", work_queue_options{.lease_limit = 20ms});
  quick.push(1);
  auto hung = quick.pop();
  auto news = notify_descriptor::for_jobs(quick);
  pollfd on{news.fd(), POLLIN, 0};
  ASSERT_EQ(poll(&on, 1, static_cast<int>(default_timeout().count())), 1);
  EXPECT_GE(std::chrono::steady_clock::now(), hung.expires_at());
  EXPECT_TRUE(quick.try_pop());
}

TEST_F(work_queue_limit_test, a_closed_queue_ends_after_a_lease_that_is_over) {
  queue_.push(1);
  auto hung = queue_.pop();
  queue_.close();
  EXPECT_FALSE(queue_.try_pop_for(1ms)) << "its time is not over";
  hung.extend(0ns);
  auto last = queue_.pop();
  ASSERT_TRUE(last);
  last.done();
  EXPECT_FALSE(queue_.pop());
}

// Of the last try: it is a dead letter, for which nobody waits.
TEST_F(work_queue_limit_test, a_closed_queue_ends_when_the_last_try_is_over) {
  queue_.push(1);
  for (int i = 0; i < 2; ++i) queue_.pop().fail();
  auto hung = queue_.pop();
  queue_.close();
  hung.extend(0ns);
  EXPECT_FALSE(queue_.pop());
}

TEST_F(work_queue_limit_test, a_claim_counts_until_the_claimer_is_dead) {
  queue_.push(1);
  auto mine = queue_.pop();
  const detail::job_holder_id me = detail::job_state(state_of(queue_, 0)).holder();
  time_of(queue_, 0) = lease_clock::claimed(1, me).word();
  EXPECT_FALSE(queue_.try_pop()) << "a living thread is about to hand it out";
  expect_refused([&] { mine.done(); }, "done()");
  time_of(queue_, 0) = lease_clock::claimed(1, {me.index_plus_1, me.generation + 1}).word();
  auto again = queue_.try_pop();
  ASSERT_TRUE(again);
  EXPECT_EQ(again.expired_on_it().size(), 1u);
  EXPECT_TRUE(again.died_on_it().empty()) << "the claimer died, and had nothing";
  again.done();
}

// The claimer had the state, and died before it wrote anything: the claim tells what ended the
// first try.
TEST_F(work_queue_limit_test, a_claimer_that_died_leaves_the_mark_to_the_next) {
  queue_.push(1);
  auto mine = pop_and_expire();
  const detail::job_state state(state_of(queue_, 0));
  const detail::job_holder_id dead{1, 0x7777777};
  time_of(queue_, 0) = lease_clock::claimed(1, dead).word();
  state_of(queue_, 0) = state.to(detail::job_kind::leased, 2, dead).word();
  const segment_view view(seg_);
  EXPECT_EQ(view.queues().at(0).jobs.at(0).expired_on_it.size(), 1u);
  EXPECT_EQ(view.queues().at(0).jobs.at(0).died_on_it.size(), 1u);
  auto third = queue_.try_pop();
  ASSERT_TRUE(third);
  EXPECT_EQ(third.tries(), 3u);
  EXPECT_EQ(third.expired_on_it().size(), 1u);
  EXPECT_EQ(third.died_on_it().size(), 1u);
}

TEST_F(work_queue_limit_test, times_that_no_queue_wrote_lose_no_job) {
  const std::uint64_t words[] = {0,
                                 ~std::uint64_t{0},
                                 lease_clock::running(1, 0).word(),
                                 lease_clock::running(1, ~std::uint64_t{0}).word(),
                                 lease_clock::running(2, 0).word(),
                                 lease_clock::running(15, 0).word(),
                                 lease_clock::claimed(1, {}).word(),
                                 lease_clock::claimed(1, {0xffff, 7}).word(),
                                 lease_clock::claimed(0, {1, 1}).word(),
                                 lease_clock::claimed(15, {1, 1}).word()};
  for (const std::uint64_t word : words) {
    SCOPED_TRACE(word);
    queue_.push(1);
    auto mine = queue_.pop();
    time_of(queue_, 0) = word;
    auto again = queue_.try_pop();
    if (again) {
      EXPECT_EQ(*again, 1);
      again.done();
    } else {
      state_of(queue_, 0) = detail::job_state(detail::job_kind::free, 0).word();
    }
    expect_refused([&] { mine.done(); }, "done()");
    time_of(queue_, 0) = word;
    reinterpret_cast<detail::work_queue_bytes&>(queue_).tail = 0;
    reinterpret_cast<detail::work_queue_bytes&>(queue_).head = 0;
  }
  queue_.push(2);
  queue_.pop().done();
}

TEST_F(work_queue_limit_test, limits) {
  EXPECT_EQ(queue_.lease_limit(), 1h);
  auto& plain = seg_.find_or_construct<queue>("plain");
  EXPECT_EQ(plain.lease_limit(), 0ns);
  plain.push(1);
  auto one = plain.pop();
  EXPECT_EQ(one.expires_at(), std::chrono::steady_clock::time_point::max());
  EXPECT_FALSE(one.expired());
  one.extend(0ns);
  EXPECT_FALSE(plain.try_pop()) << "there is no limit to extend";
  one.done();
  EXPECT_EQ(lease<long>().expires_at(), std::chrono::steady_clock::time_point::max());
  for (const std::chrono::nanoseconds bad :
       {std::chrono::nanoseconds(-1ns), std::chrono::nanoseconds(24h * 365 + 1ns)}) {
    EXPECT_THROW(seg_.find_or_construct<queue>("bad", work_queue_options{.lease_limit = bad}),
                 std::system_error);
  }
  auto& longest = seg_.find_or_construct<queue>("ok", work_queue_options{.lease_limit = 24h * 365});
  EXPECT_EQ(longest.lease_limit(), 24h * 365);
}

TEST_F(work_queue_limit_test, a_damaged_limit_is_refused) {
  auto& head = reinterpret_cast<detail::work_queue_bytes&>(queue_);
  for (const std::uint64_t damage : {std::uint64_t{0}, ~std::uint64_t{0}}) {
    head.lease_limit = damage;
    expect_refused([&] { queue_.push(1); }, "push()", errc::damaged);
    expect_refused([&] { static_cast<void>(queue_.pop()); }, "pop()", errc::damaged);
  }
}

TEST_F(work_queue_limit_test, the_view_says_what_ended_the_tries) {
  queue_.push(1);
  auto hung = pop_and_expire();
  const segment_view view(seg_);
  const viewed_queue seen = view.queues().at(0);
  EXPECT_EQ(seen.lease_limit, 1h);
  EXPECT_EQ(seen.waiting, 1u);
  ASSERT_EQ(seen.jobs.size(), 1u);
  EXPECT_EQ(seen.jobs[0].state, viewed_job_state::waiting);
  ASSERT_EQ(seen.jobs[0].expired_on_it.size(), 1u);
  EXPECT_EQ(seen.jobs[0].expired_on_it[0].pid, getpid());
  EXPECT_TRUE(seen.jobs[0].died_on_it.empty());
  EXPECT_TRUE(view.problems().empty());
}

}  // namespace
}  // namespace outlive::testing
