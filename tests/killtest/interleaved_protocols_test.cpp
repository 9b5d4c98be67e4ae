// outlive's own protocols with living threads beside a death: a waiter, a second heir, a client.
//
// The bounds are numbers of schedules, so that all cases together take less than two minutes.
#include <gtest/gtest.h>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>

#include <outlive/crash_barrier.hpp>
#include <outlive/killtest/interleave.hpp>
#include <outlive/outlive.hpp>

namespace outlive::killtest::testing {
namespace {

/// So many schedules were run, a thread died in so many of them, and none failed.
interleave_report expect_passes(const concurrent_scenario& what, const interleave_options& how,
                                std::size_t deaths) {
  const interleave_report found = interleave(what, how);
  std::cout << found;
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_EQ(found.schedules, how.max_schedules) << found;
  EXPECT_GE(found.deaths, deaths) << found;
  // Where a thread announces itself among the entrants depends on its id.
  EXPECT_LE(found.diverged, found.schedules / 10) << found;
  return found;
}

interleave_options inside(std::size_t schedules) {
  interleave_options made;
  made.own_records = true;
  made.max_schedules = schedules;
  return made;
}

struct pair {
  long a = 0;
  long b = 0;
};

void add(pair& of) {
  if (of.a != of.b) throw std::runtime_error("found half a change");
  of.a = of.a + 1;
  OUTLIVE_CRASH_BARRIER();
  of.b = of.b + 1;
}

repair_result follow(pair& of, const owner_death&) {
  of.b = of.a;
  return repaired;
}

std::string is_whole(const pair& of) {
  return of.a == of.b ? std::string() : std::string("half a change is left");
}

/// One guarded pair and what the threads do with it.
template <class Mutex>
concurrent_scenario of_pair(std::string name) {
  concurrent_scenario made;
  made.name = std::move(name);
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<pair, Mutex>>("pair", "pairs"));
  };
  made.repairs = [](segment& seg) {
    return all_of(on_owner_death<pair, Mutex>(seg, "pairs", &follow));
  };
  made.invariant = [](segment& seg) {
    return is_whole(*seg.find<guarded<pair, Mutex>>("pair")->lock());
  };
  return made;
}

template <class Mutex>
guarded<pair, Mutex>& pair_in(segment& seg) {
  return *seg.find<guarded<pair, Mutex>>("pair");
}

TEST(interleaved_protocols, a_mutex_with_a_waiter) {
  auto what = of_pair<robust_mutex>("mutex, waiter");
  const auto use = [](segment& seg) { add(*pair_in<robust_mutex>(seg).lock()); };
  what.threads = {{"owner", use}, {"waiter", use}};
  expect_passes(what, inside(400), 170);
}

// With two preemptions. Who still has the mutex after its release fails at the second lock.
TEST(interleaved_protocols, a_mutex_that_two_living_threads_pass_on) {
  auto what = of_pair<robust_mutex>("mutex, nobody dies");
  const auto use = [](segment& seg) {
    for (int i = 0; i < 2; ++i) add(*pair_in<robust_mutex>(seg).lock());
  };
  what.threads = {{"one", use}, {"two", use}};
  interleave_options how;
  how.deaths = 0;
  how.at_plain_accesses = 2;
  how.max_schedules = 800;
  const interleave_report found = expect_passes(what, how, 0);
  EXPECT_EQ(found.time_outs, 0U) << found;
}

TEST(interleaved_protocols, a_mutex_with_a_second_heir_and_a_client) {
  auto what = of_pair<robust_mutex>("mutex, heirs, client");
  const auto use = [](segment& seg) { add(*pair_in<robust_mutex>(seg).lock()); };
  const auto look = [](segment& seg) {
    if (auto hold = pair_in<robust_mutex>(seg).try_lock()) add(*hold);
  };
  what.threads = {{"owner", use}, {"heir", use}, {"second heir", use}, {"client", look}};
  auto how = inside(150);
  how.deaths = 2;
  expect_passes(what, how, 30);
}

TEST(interleaved_protocols, recovery_beside_a_waiter) {
  auto what = of_pair<robust_mutex>("mutex, recover()");
  const auto use = [](segment& seg) { add(*pair_in<robust_mutex>(seg).lock()); };
  what.threads = {{"owner", use},
                  {"supervisor", [](segment& seg) { static_cast<void>(recover(seg)); }},
                  {"waiter", use}};
  expect_passes(what, inside(50), 10);
}

/// In a process that dies inside, and whose list of robust mutexes is lost: the kernel marks none.
void leave_orphan_in(segment& seg) {
  const pid_t owner = ::fork();
  if (owner == 0) {
    auto hold = pair_in<robust_mutex>(seg).lock();
    ++hold->a;
    robust_list_head nothing{{&nothing.list}, 0, nullptr};
    ::syscall(SYS_set_robust_list, &nothing, sizeof nothing);
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(owner, nullptr, 0), owner);
}

TEST(interleaved_protocols, two_adopters_of_an_orphan) {
  auto what = of_pair<robust_mutex>("orphan");
  const auto make = what.make;
  what.make = [=](segment& seg) {
    make(seg);
    leave_orphan_in(seg);
  };
  const auto use = [](segment& seg) { add(*pair_in<robust_mutex>(seg).lock()); };
  what.threads = {{"adopter", use}, {"second adopter", use}};
  const auto found = expect_passes(what, inside(80), 26);
  EXPECT_GE(found.time_outs, found.schedules) << "who waits for an orphan looks after a slice";
}

using shared_mutex_case = ::testing::TestWithParam<reader_marks>;
class interleaved_shared_mutex : public shared_mutex_case {};

TEST_P(interleaved_shared_mutex, readers_beside_writers) {
  auto what = of_pair<robust_shared_mutex>("shared mutex");
  what.options.readers = GetParam();
  const auto write = [](segment& seg) { add(*pair_in<robust_shared_mutex>(seg).lock()); };
  const auto read = [](segment& seg) {
    const auto hold = pair_in<robust_shared_mutex>(seg).lock_shared();
    const long a = hold->a;
    OUTLIVE_CRASH_BARRIER();
    if (hold->b != a) throw std::runtime_error("a reader sees half a change");
  };
  what.threads = {{"writer", write}, {"reader", read}, {"second writer", write}};
  auto how = inside(250);
  // A reader that stops would be waited for. Writers look again after short sleeps, since readers
  // may leave without a wake-up.
  how.while_free = false;
  how.lost_wake_ups = false;
  expect_passes(what, how, 50);
}

INSTANTIATE_TEST_SUITE_P(form, interleaved_shared_mutex,
                         ::testing::Values(reader_marks::automatic, reader_marks::locked),
                         [](const auto& form) {
                           return form.param == reader_marks::locked ? "locked" : "automatic";
                         });

TEST(interleaved_protocols, permits_that_are_waited_for) {
  using pool = permit_pool<8>;
  concurrent_scenario what;
  what.name = "permits";
  what.make = [](segment& seg) { static_cast<void>(seg.find_or_construct<pool>("pool", 1u)); };
  const auto use = [](segment& seg) {
    permit held = seg.find<pool>("pool")->acquire();
    held.release();
  };
  what.threads = {{"holder", use}, {"waiter", use}, {"second waiter", use}};
  what.invariant = [](segment& seg) {
    auto& permits = *seg.find<pool>("pool");
    const permit one = permits.try_acquire();
    if (!one) return std::string("a permit is lost");
    return permits.try_acquire() ? std::string("a permit is doubled") : std::string();
  };
  auto how = inside(400);
  how.while_free = false;  // who holds a permit holds no mutex
  expect_passes(what, how, 100);
}

TEST(interleaved_protocols, a_queue_with_a_producer_and_workers) {
  using queue = work_queue<long, 4>;
  concurrent_scenario what;
  what.name = "queue";
  what.make = [](segment& seg) {
    auto& jobs = seg.find_or_construct<queue>("jobs");
    jobs.push(1);
  };
  const auto work = [](segment& seg) {
    auto& jobs = *seg.find<queue>("jobs");
    jobs.pop().done();
  };
  // Nobody waits for a job that died with its producer: that would be for ever.
  what.threads = {{"worker", work, true},
                  {"second worker", work, true},
                  {"producer", [](segment& seg) { seg.find<queue>("jobs")->push(2); }, false}};
  what.invariant = [](segment& seg) {
    auto& jobs = *seg.find<queue>("jobs");
    std::size_t seen = 0;
    while (auto one = jobs.try_pop()) {
      if (*one < 1 || *one > 2) return std::string("a job that nobody pushed");
      if (++seen > 2) return std::string("a job is there twice");
      one.done();
    }
    return jobs.leased() == 0 ? std::string() : std::string("a job is leased by nobody");
  };
  auto how = inside(400);
  how.while_free = false;  // a job in hand is no mutex
  expect_passes(what, how, 40);
}

}  // namespace
}  // namespace outlive::killtest::testing
