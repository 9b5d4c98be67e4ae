// What a supervisor tells, as one line for a log.
#include <gtest/gtest.h>

#include <csignal>

#include <outlive/supervisor.hpp>

namespace {

using outlive::recovery_outcome;

outlive::thread_identity thread(pid_t pid, pid_t tid) {
  outlive::thread_identity who;
  who.known = true;
  who.pid = pid;
  who.tid = tid;
  who.command_name = "worker";
  return who;
}

outlive::held_lock mutex(std::string name) {
  outlive::held_lock held;
  held.mutex_name = std::move(name);
  held.lock_class = "shelf";
  return held;
}

outlive::participant_death death() {
  outlive::participant_death told;
  told.pid = 11;
  told.command_name = "worker";
  return told;
}

TEST(supervisor_text, death_tells_how_it_ended_and_what_became_of_its_mutexes) {
  outlive::participant_death told = death();
  EXPECT_EQ(to_string(told), "pid 11 (worker) has ended: no mutex to recover");
  told.signal = SIGSEGV;
  told.core_dumped = true;
  told.recovered.resize(3);
  told.recovered[0].outcome = recovery_outcome::repaired;
  told.recovered[1].outcome = recovery_outcome::nothing_to_repair;
  told.recovered[2].outcome = recovery_outcome::not_recoverable;
  EXPECT_EQ(to_string(told),
            "pid 11 (worker) was killed by SIGSEGV (core dumped): 2 mutexes recovered, 1 not");
  told.inherited.resize(1);
  EXPECT_EQ(to_string(told),
            "pid 11 (worker) was killed by SIGSEGV (core dumped): 2 mutexes recovered, 1 not, 1 "
            "mutex inherited by another thread");
  told.recovered.resize(1);
  told.recovered[0].outcome = recovery_outcome::held_by_another;
  EXPECT_EQ(to_string(told),
            "pid 11 (worker) was killed by SIGSEGV (core dumped): 2 mutexes inherited by other "
            "threads");
  told = death();
  told.tid = 12;
  EXPECT_EQ(to_string(told),
            "pid 11 (worker) tid 12 ended without giving its record back: no mutex to recover");
}

TEST(supervisor_text, hung_owner_tells_for_how_long_in_which_state_and_who_waits) {
  outlive::hung_owner owner;
  owner.who = thread(11, 12);
  owner.held = mutex("screws");
  owner.at_least = std::chrono::milliseconds(2'040);
  owner.condition = outlive::thread_condition::stopped;
  EXPECT_EQ(to_string(owner),
            "pid 11 tid 12 (worker) has held \"screws\" of class \"shelf\" for at least 2.0 s: "
            "stopped, nobody waits");
  owner.repairing = true;
  owner.waiters.resize(1);
  EXPECT_EQ(to_string(owner),
            "pid 11 tid 12 (worker) has held \"screws\" of class \"shelf\" for at least 2.0 s to "
            "repair it: stopped, 1 thread waits");
  owner.may_be_on_its_way = true;
  EXPECT_TRUE(to_string(owner).ends_with(
      "stopped, 1 thread waits; perhaps handed over, and not taken yet"));
  owner.waiters.resize(2);
  EXPECT_NE(to_string(owner).find(", 2 threads wait"), std::string::npos) << to_string(owner);
  owner.repairing = false;
  owner.kind = outlive::held_kind::shared;
  EXPECT_NE(to_string(owner).find("has held \"screws\" of class \"shelf\" shared for at least"),
            std::string::npos)
      << to_string(owner);
  owner.kind = outlive::held_kind::job;
  EXPECT_NE(to_string(owner).find("has held a job of \"screws\" for at least"), std::string::npos)
      << to_string(owner);
}

TEST(supervisor_text, deadlock_tells_who_waits_for_whom) {
  outlive::deadlock found;
  found.threads.push_back({thread(11, 11), mutex("a"), {}});
  found.threads.push_back({thread(21, 22), mutex("b"), {}});
  EXPECT_EQ(to_string(found),
            "deadlock of 2 threads: pid 11 tid 11 (worker) waits for \"a\" of class \"shelf\", "
            "held by pid 21 tid 22 (worker), which waits for \"b\" "
            "of class \"shelf\", held by pid 11 tid 11 (worker)");
}

}  // namespace
