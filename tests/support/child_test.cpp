#include "support/child.hpp"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

#include "support/leaks.hpp"

namespace outlive::testing {
namespace {

/// The text of the exception that `act` throws.
template <typename Act>
std::string thrown_by(Act act) {
  try {
    act();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing thrown";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(child_test, lock_step_goes_both_ways) {
  child other("other", [](agent& parent) {
    parent.tell("ready");
    parent.await("go");
    parent.tell("gone");
  });
  other.wait_for("ready");
  EXPECT_FALSE(other.ended());
  other.tell("go");
  other.wait_for("gone");
  other.expect_exit(0);
}

TEST(child_test, tokens_that_come_early_are_kept) {
  child other("other", [](agent& parent) {
    parent.tell("first");
    parent.tell("second");
  });
  other.wait_for("second");
  other.wait_for("first");
}

TEST(child_test, a_killed_child_is_described) {
  child other("other", [](agent& parent) { parent.pause_forever(); });
  other.kill();
  const exit_status how = other.wait();
  EXPECT_TRUE(how.killed_by(SIGKILL));
  EXPECT_FALSE(how.exited_with(0));
  EXPECT_EQ(how.describe(), "killed by signal 9 (Killed)");
  child leaver("leaver", [](agent&) { _exit(3); });
  EXPECT_EQ(leaver.wait().describe(), "exit 3");
}

TEST(child_test, killed_children_are_counted_and_no_others) {
  const std::uint64_t before = kills_so_far();
  child("leaver", [](agent&) {}).expect_exit(0);
  child("aborts", [](agent&) { abort(); }).expect_killed(SIGABRT);
  EXPECT_EQ(kills_so_far(), before);
  child victim("victim", [](agent& parent) { parent.pause_forever(); });
  victim.kill();
  victim.expect_killed();
  EXPECT_EQ(kills_so_far(), before + 1);
  child("heir", [](agent&) { EXPECT_EQ(kills_so_far(), 0u); }).expect_exit(0);
}

TEST(child_test, a_wait_for_a_dead_child_ends_at_once_and_says_how_it_died) {
  child other("other", [](agent& parent) {
    parent.tell("almost");
    kill(getpid(), SIGKILL);
  });
  const std::string text = thrown_by([&] { other.wait_for("locked"); });
  EXPECT_TRUE(has(text, "child 'other' ended (killed by signal 9 (Killed))")) << text;
  EXPECT_TRUE(has(text, "'locked'")) << text;
  EXPECT_TRUE(has(text, "arrived: 'almost'")) << text;
}

TEST(child_test, waits_are_bounded_on_both_sides) {
  child silent("silent", [](agent& parent) { parent.pause_forever(); });
  EXPECT_TRUE(has(thrown_by([&] { silent.wait_for("word", milliseconds(20)); }),
                  "waited 20 ms for child 'silent'"));
  EXPECT_THROW(silent.wait(milliseconds(20)), timed_out);
  child waiting("waiting", [](agent& parent) {
    const std::string text = thrown_by([&] { parent.await("go", milliseconds(20)); });
    parent.tell(text);
  });
  waiting.wait_for("child 'waiting' waited 20 ms for the parent's 'go'; nothing else arrived");
}

TEST(child_test, a_failed_expectation_in_the_child_fails_the_parent) {
  // Forked outside EXPECT_NONFATAL_FAILURE, which would swallow the failure in the child's copy.
  child other("other", [](agent&) { EXPECT_EQ(6 * 7, 54); });
  EXPECT_NONFATAL_FAILURE(EXPECT_TRUE(other.wait().exited_with(child::failed_exit_code)), "54");
}

TEST(child_test, an_assertion_on_a_second_thread_fails_the_parent) {
  EXPECT_NONFATAL_FAILURE(
      {
        child("other", [](agent&) { ASSERT_TRUE(gettid() == getpid()) << "told"; },
              {.second_thread = true})
            .wait();
      },
      "told");
}

TEST(child_test, an_exception_in_the_child_fails_the_parent) {
  EXPECT_NONFATAL_FAILURE(
      { child("other", [](agent&) { throw std::runtime_error("no luck"); }).wait(); }, "no luck");
}

TEST(child_test, an_unexpected_end_fails) {
  EXPECT_NONFATAL_FAILURE({ child("other", [](agent&) { _exit(5); }).expect_exit(0); },
                          "found exit 5");
  EXPECT_NONFATAL_FAILURE({ child("other", [](agent&) {}).expect_killed(SIGKILL); },
                          "found exit 0");
}

TEST(child_test, children_dump_no_core_and_run_where_asked) {
  child main_thread("main", [](agent&) {
    rlimit core{};
    EXPECT_EQ(getrlimit(RLIMIT_CORE, &core), 0);
    EXPECT_EQ(core.rlim_max, 0u);
    EXPECT_EQ(gettid(), getpid());
  });
  main_thread.expect_exit(0);
  child second("second", [](agent&) { EXPECT_NE(gettid(), getpid()); }, {.second_thread = true});
  second.expect_exit(0);
}

TEST(child_test, pthread_exit_on_the_main_thread_does_not_unwind_the_parents_copies) {
  struct witness {
    pid_t owner = getpid();
    shared_counter* strangers;
    ~witness() {
      if (getpid() != owner) strangers->add();
    }
  };
  shared_counter strangers;
  {
    const witness here{getpid(), &strangers};
    child other("other", [](agent&) { pthread_exit(nullptr); });
    // Not other.wait(): ThreadSanitizer has a thread of its own, which keeps the process.
    EXPECT_TRUE(within(default_timeout(), [&] { return is_dead(other.pid()); }));
  }
  EXPECT_EQ(strangers.load(), 0u);
}

TEST(child_test, a_child_dies_with_its_parent) {
  shared_value<pid_t> grandchild;
  child middle("middle", [&](agent& parent) {
    child leaf("leaf", [&](agent& self) {
      grandchild.store(getpid());
      self.pause_forever();
    });
    grandchild.wait([](pid_t pid) { return pid != 0; });
    parent.tell("forked");
    parent.pause_forever();
  });
  middle.wait_for("forked");
  middle.kill();
  middle.expect_killed();
  // Its new parent may be slow to reap it: a zombie is dead as well.
  EXPECT_TRUE(within(default_timeout(), [&] { return is_dead(grandchild.load()); }));
}

TEST(child_test, the_destructor_kills_reaps_and_closes) {
  const holdings before = holdings::of(getpid());
  pid_t pid = 0;
  {
    child other("other", [](agent& parent) { parent.pause_forever(); });
    pid = other.pid();
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_NE(kill(pid, 0), 0);
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
}

}  // namespace
}  // namespace outlive::testing
