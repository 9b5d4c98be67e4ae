// What on_event() tells a program whose own threads are the heirs, and what its handler may do.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <outlive/event.hpp>

#include "scenes/accounts.hpp"
#include "scenes/thrown.hpp"

namespace outlive::testing {
namespace {

class event_process_test : public ::testing::Test {
 protected:
  struct told {
    event_kind kind;
    death_outcome outcome;
    unsigned attempt;
    std::string text;
  };
  void listen() {
    on_event([this](const event& what) {
      seen_.push_back({what.kind, what.outcome, what.death.attempt(), to_string(what)});
      owners_.push_back(what.death.owner().pid);
    });
  }
  ~event_process_test() override { on_event({}); }

  accounts all_{2};
  std::vector<told> seen_;
  std::vector<pid_t> owners_;
};

TEST_F(event_process_test, an_ordinary_locker_hears_of_the_death_and_of_its_repair) {
  listen();
  const auto repair = all_.mended_here();
  all_.mutex(1).lock();
  all_.mutex(1).unlock();
  EXPECT_TRUE(seen_.empty()) << "nobody had died";
  const pid_t owner = leave_holding(all_, 1);
  EXPECT_TRUE(all_[1].lock().recovered());
  ASSERT_EQ(seen_.size(), 2u);
  EXPECT_EQ(seen_[0].kind, event_kind::death_met);
  EXPECT_EQ(seen_[0].outcome, death_outcome::repairing);
  EXPECT_EQ(seen_[0].attempt, 1u);
  EXPECT_EQ(seen_[1].kind, event_kind::repair_ended);
  EXPECT_EQ(seen_[1].outcome, death_outcome::repaired);
  EXPECT_EQ(owners_, (std::vector<pid_t>{owner, owner}));
  EXPECT_EQ(seen_[0].text.find("pid " + std::to_string(owner) + " tid " + std::to_string(owner)),
            0u);
  EXPECT_NE(
      seen_[0].text.find("died with \"account 1\" of class \"account\": repairing, attempt 1"),
      std::string::npos)
      << seen_[0].text;
  EXPECT_NE(seen_[1].text.find(": repaired after "), std::string::npos) << seen_[1].text;
}

TEST_F(event_process_test, failures_and_what_is_given_up_are_told_as_such) {
  listen();
  leave_holding(all_);
  EXPECT_EQ(thrown::by([&] { all_.mutex().lock(); }).code, errc::owner_died_unrepaired);
  {
    const auto fails = on_owner_death(
        all_.mutex(), [](const owner_death&) -> repair_result { throw std::runtime_error("no"); });
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(thrown::by([&] { all_.mutex().lock(); }).code, errc::repair_failed);
  }
  std::vector<death_outcome> outcomes;
  for (const told& each : seen_) outcomes.push_back(each.outcome);
  using enum death_outcome;
  EXPECT_EQ(outcomes, (std::vector<death_outcome>{unrepaired, repairing, failed, repairing, failed,
                                                  repairing, not_recoverable}));
}

TEST_F(event_process_test, without_a_handler_nothing_is_told) {
  listen();
  on_event({});
  const auto repair = all_.mended_here();
  leave_holding(all_);
  EXPECT_TRUE(all_[0].lock().recovered());
  EXPECT_TRUE(seen_.empty());
}

TEST_F(event_process_test, a_handler_acquires_no_mutex) {
  const auto repair = all_.mended_here();
  std::vector<std::error_code> refused;
  on_event(
      [&](const event&) { refused.push_back(thrown::by([&] { all_.mutex(1).lock(); }).code); });
  leave_holding(all_);
  EXPECT_TRUE(all_[0].lock().recovered());
  EXPECT_EQ(refused, (std::vector<std::error_code>{errc::in_repair, errc::in_repair}));
  expect_usable(all_, 1);
}

/// As a repair: cancellation waits until the mutex is held, and then it is a death like others.
TEST_F(event_process_test, cancellation_waits_until_the_handler_has_returned) {
  const auto repair = all_.mended_here();
  int calls = 0;
  bool has_it = false;
  on_event([&](const event&) {
    ++calls;
    pthread_testcancel();
  });
  leave_holding(all_);
  std::thread cancelled([&] {
    pthread_cancel(pthread_self());
    const auto x = all_[0].lock();
    has_it = true;
    pthread_testcancel();
    ADD_FAILURE() << "the cancellation was lost";
  });
  cancelled.join();
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(has_it);
  EXPECT_EQ(all_.repairs(), 1u);
}

TEST_F(event_process_test, a_child_that_a_handler_forks_has_nothing_of_its_parents_mutex) {
  const auto repair = all_.mended_here();
  for (const event_kind kind : {event_kind::death_met, event_kind::repair_ended}) {
    SCOPED_TRACE(to_string(kind));
    pid_t forked = -1;
    on_event([&](const event& what) {
      if (what.kind == kind) forked = fork();
    });
    leave_holding(all_);
    const auto result = thrown::by([&] { all_.mutex().lock(); });
    if (forked == 0) _exit(result.code == errc::forked_in_repair ? 0 : 1);
    ASSERT_GT(forked, 0);
    int status = -1;
    EXPECT_EQ(waitpid(forked, &status, 0), forked);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(result.code, std::error_code());
    EXPECT_TRUE(all_.value().whole());
    all_.mutex().unlock();
    on_event({});
    expect_usable(all_);
  }
  EXPECT_EQ(all_.repairs(), 2u);
}

}  // namespace
}  // namespace outlive::testing
