// The work queue by the kill-test kit: a producer, a worker and their heirs die after each of their
// stores.
#include <outlive/killtest/gtest.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <outlive/outlive.hpp>

#include "killtest/inside.hpp"

namespace outlive::killtest::testing {
namespace {

using queue = work_queue<long, 4>;

/// Whatever the victim was about to do with jobs 1 and 3: each is there once or not at all, job 2
/// is, and so are all slots.
std::string each_job_once(queue& jobs) {
  jobs.reopen();  // the victim may have closed it
  std::map<long, int> seen;
  while (auto one = jobs.try_pop()) {
    ++seen[*one];
    one.done();
  }
  while (auto letter = jobs.pop_dead_letter()) {
    ++seen[*letter];
    letter.done();
  }
  for (const auto& [job, times] : seen) {
    if (times != 1)
      return "job " + std::to_string(job) + " is there " + std::to_string(times) + " times";
    if (job < 1 || job > 3) return "a job that nobody pushed: " + std::to_string(job);
  }
  if (seen.count(2) != 1) return "job 2, which nobody touched, is lost";
  for (int i = 0; i < 4; ++i) {
    if (!jobs.try_push(9)) return "a slot is lost";
  }
  if (jobs.try_push(9)) return "there is a slot too many";
  while (auto one = jobs.try_pop()) one.done();
  return jobs.leased() == 0 ? std::string() : "a job is leased by nobody";
}

scenario of_queue(std::string name, void (*victim)(queue&),
                  const work_queue_options& options = {}) {
  scenario made;
  made.name = std::move(name);
  made.make = [=](segment& seg) {
    auto& jobs = seg.find_or_construct<queue>("jobs", options);
    jobs.push(1);
    jobs.push(2);
  };
  made.victim = [=](segment& seg) { victim(*seg.find<queue>("jobs")); };
  made.invariant = [](segment& seg) { return each_job_once(*seg.find<queue>("jobs")); };
  // Who had the jobs, by process and start time, and times: no two runs have these in common.
  // Where they stand: docs/format.md.
  made.ignored = [](segment& seg) {
    constexpr std::size_t head = 320, slot = 192, history = 16, history_bytes = 136;
    static_assert(sizeof(queue) == head + 4 * slot);
    const auto* const bytes = reinterpret_cast<const std::byte*>(seg.find<queue>("jobs")) + head;
    std::vector<std::span<const std::byte>> spans;
    for (std::size_t i = 0; i < 4; ++i)
      spans.emplace_back(bytes + i * slot + history, history_bytes);
    return spans;
  };
  return made;
}

void expect_survives(scenario what) {
  what.before_recovery = no_alarm;
  const report found = explore(what, inside());
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_GT(found.states.size(), 10U) << found;
}

TEST(queue_protocols, push) {
  expect_survives(of_queue("push", [](queue& jobs) { jobs.push(3); }));
}

TEST(queue_protocols, pop_and_done) {
  expect_survives(of_queue("pop, done", [](queue& jobs) { jobs.pop().done(); }));
}

TEST(queue_protocols, several_jobs_at_once) {
  expect_survives(of_queue("push_many, pop_many", [](queue& jobs) {
    auto first = jobs.pop_many(1);
    jobs.push_many(std::vector<long>{3});
    first[0].done();
    auto others = jobs.pop_many(3);
    others[1].done();
    others[0].give_back();
  }));
}

TEST(queue_protocols, close_and_the_last_job) {
  expect_survives(of_queue("close", [](queue& jobs) {
    jobs.close();
    jobs.pop().done();
    jobs.reopen();
    jobs.push(3);
  }));
}

TEST(queue_protocols, a_job_that_is_given_back) {
  expect_survives(of_queue("give_back", [](queue& jobs) { jobs.pop().give_back(); }));
}

TEST(queue_protocols, a_job_that_is_given_back_for_a_later_time) {
  expect_survives(of_queue("give_back, later", [](queue& jobs) {
    jobs.pop().give_back(std::chrono::nanoseconds(1));
    jobs.pop().done();
  }));
}

TEST(queue_protocols, a_job_that_fails_until_it_is_a_dead_letter) {
  expect_survives(of_queue("fail", [](queue& jobs) {
    for (int i = 0; i < 3; ++i) jobs.pop().fail();
    jobs.pop_dead_letter().retry();
  }));
}

constexpr work_queue_options with_limit{.lease_limit = std::chrono::hours(1)};

TEST(queue_protocols, a_lease_with_a_limit) {
  expect_survives(of_queue(
      "pop, extend, done",
      [](queue& jobs) {
        auto one = jobs.pop();
        one.extend();
        one.done();
      },
      with_limit));
}

TEST(queue_protocols, a_lease_with_a_limit_that_is_given_back_and_handed_over) {
  expect_survives(of_queue(
      "give_back, hand_over",
      [](queue& jobs) {
        jobs.pop().give_back();
        jobs.pop().hand_over().take().done();
      },
      with_limit));
}

// The victim takes its job over from itself.
TEST(queue_protocols, a_lease_that_is_over) {
  expect_survives(of_queue(
      "pop of a job whose lease is over, done",
      [](queue& jobs) {
        auto late = jobs.pop();
        auto other = jobs.pop();
        late.extend(std::chrono::nanoseconds(0));
        jobs.pop().done();
        other.give_back();
      },
      with_limit));
}

TEST(queue_protocols, a_dead_letter_whose_leases_were_over) {
  expect_survives(of_queue(
      "pop_dead_letter, retry",
      [](queue& jobs) {
        auto other = jobs.pop();
        std::vector<lease<long>> late;
        for (int i = 0; i < 3; ++i) {
          late.push_back(jobs.pop());
          late.back().extend(std::chrono::nanoseconds(0));
        }
        jobs.pop_dead_letter().retry();
        jobs.pop().give_back();
      },
      with_limit));
}

}  // namespace
}  // namespace outlive::killtest::testing
