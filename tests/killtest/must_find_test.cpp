// What the kit must find: each of these repairs or victims is wrong in one place, and right once
// that is mended.
#include <outlive/killtest/gtest.hpp>
#include <outlive/killtest/replay.hpp>

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "killtest/bank.hpp"
#include "killtest/many_stores.hpp"
#include "killtest/three_locks.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::HasSubstr;

/// A scenario around one guarded T, named "thing", of class "things".
template <class T>
scenario scenario_of(std::string name, repair_result (*repair)(T&, const owner_death&),
                     void (*victim)(T&), std::string (*invariant)(const T&)) {
  scenario made;
  made.name = std::move(name);
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<T>>("thing", "things"));
  };
  made.repairs = [=](segment& seg) { return all_of(on_owner_death<T>(seg, "things", repair)); };
  made.victim = [=](segment& seg) { victim(*seg.find<guarded<T>>("thing")->lock()); };
  made.invariant = [=](segment& seg) { return invariant(*seg.find<guarded<T>>("thing")->lock()); };
  return made;
}

/// That some state came to this verdict, and no other verdict but ok; each by a real kill, too.
void expect_only(const report& found, verdict expected) {
  EXPECT_TRUE(found.fault.empty()) << found;
  EXPECT_GT(found.failed(), 0U) << found;
  for (const crash_state& each : found.states) {
    if (each.result == verdict::ok) continue;
    EXPECT_EQ(each.result, expected) << found;
    EXPECT_EQ(each.confirmed, !each.deaths.empty()) << found;
  }
}

// ---- an undo journal without crash barriers ----------------------------------------------------
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
[[gnu::noinline]] void transfer_without_barriers(bank& of, long amount) {
  of.undo.a = of.a;
  of.undo.b = of.b;
  of.undo.valid = 1;
  of.a -= amount;
  crash_barrier();
  of.b += amount;
  of.undo.valid = 0;
}

// gcc may leave `valid = 1` where it is, or move it: nothing says that anybody can see it in
// between.
TEST(must_find, an_undo_journal_without_crash_barriers) {
  const report found = explore(bank_scenario(&undo_in_order, &transfer_without_barriers));
  expect_only(found, verdict::invariant_violated);
}
#endif

// ---- two counters, and only one of them protected ----------------------------------------------
struct counters {
  long a = 0;
  long b = 0;
};

void count_both(counters& of) {
  of.a += 1;
  crash_barrier();
  of.b += 1;
}

std::string both_are_equal(const counters& of) {
  return of.a == of.b ? std::string()
                      : "a is " + std::to_string(of.a) + " and b is " + std::to_string(of.b);
}

TEST(must_find, two_counters_whose_second_add_is_unprotected) {
  const auto leave = [](counters&, const owner_death&) { return repaired; };
  const auto follow = [](counters& of, const owner_death&) {
    of.b = of.a;
    return repaired;
  };
  expect_only(explore(scenario_of<counters>("counters", leave, &count_both, &both_are_equal)),
              verdict::invariant_violated);
  EXPECT_SURVIVES_KILLS(
      scenario_of<counters>("counters, mended", follow, &count_both, &both_are_equal));
}

// ---- a list whose node is linked before it is filled -------------------------------------------
struct list {
  struct node {
    std::uint32_t next;  // index + 1; 0: the end
    std::uint32_t value;
  };
  std::uint32_t head = 0;
  std::uint32_t used = 0;
  node nodes[8] = {};
};

void link_first(list& of) {
  of.head = of.used + 1;
  crash_barrier();
  of.nodes[of.used].value = 7;
  crash_barrier();
  of.used += 1;
}

void fill_first(list& of) {
  of.nodes[of.used] = {of.head, 7};
  crash_barrier();
  of.head = of.used + 1;
  crash_barrier();
  of.used += 1;
}

repair_result recount(list& of, const owner_death&) {
  of.used = of.head;
  return repaired;
}

std::string all_nodes_are_filled(const list& of) {
  for (std::uint32_t at = of.head; at != 0; at = of.nodes[at - 1].next) {
    if (of.nodes[at - 1].value != 7)
      return "node " + std::to_string(at - 1) + " is linked and not filled";
  }
  return of.used == of.head ? std::string()
                            : "the next node is " + std::to_string(of.used) + ", and the newest " +
                                  std::to_string(of.head);
}

TEST(must_find, a_linked_list_whose_node_is_linked_before_it_is_filled) {
  expect_only(explore(scenario_of<list>("list", &recount, &link_first, &all_nodes_are_filled)),
              verdict::invariant_violated);
  EXPECT_SURVIVES_KILLS(
      scenario_of<list>("list, mended", &recount, &fill_first, &all_nodes_are_filled));
}

// ---- repairs that do not come back -------------------------------------------------------------
std::string anything_goes(const counters&) {
  return {};
}

TEST(must_find, a_repair_that_crashes_is_named_with_its_line) {
  const report found = explore(scenario_of<counters>(
      "crashes",
      [](counters& of, const owner_death&) {
        const volatile int* const nowhere = nullptr;
        if (of.a != of.b) of.a = *nowhere;
        return repaired;
      },
      &count_both, &anything_goes));
  const crash_state* const first = found.first_failure();
  ASSERT_NE(first, nullptr) << found;
  EXPECT_EQ(first->result, verdict::repair_crashed) << found;
  EXPECT_THAT(first->what, HasSubstr("ended by signal 11 (Segmentation fault), at "));
  EXPECT_THAT(first->what, HasSubstr("must_find_test.cpp:"));
}

TEST(must_find, a_repair_that_throws_is_named_with_its_text) {
  const report found = explore(scenario_of<counters>(
      "throws",
      [](counters& of, const owner_death&) -> repair_result {
        if (of.a != of.b) throw std::runtime_error("the ledger is on fire");
        return repaired;
      },
      &count_both, &anything_goes));
  const crash_state* const first = found.first_failure();
  ASSERT_NE(first, nullptr) << found;
  EXPECT_EQ(first->result, verdict::repair_failed) << found;
  EXPECT_THAT(first->what, HasSubstr("the ledger is on fire"));
}

TEST(must_find, a_repair_that_is_wrong_at_its_last_attempt_only) {
  const auto give_up_at_last = [](counters& of, const owner_death& death) {
    if (death.attempt() == death.max_attempts()) {
      of.a = 0;  // "start anew", and forget the other one
    } else {
      of.b = of.a;
    }
    return repaired;
  };
  const report found =
      explore(scenario_of<counters>("last attempt", give_up_at_last, &count_both, &both_are_equal));
  const crash_state* const first = found.first_failure();
  ASSERT_NE(first, nullptr) << found;
  EXPECT_EQ(first->result, verdict::invariant_violated);
  EXPECT_THAT(first->what, HasSubstr("at the last attempt, attempt() == max_attempts(): "));
  for (const crash_state& each : found.states) EXPECT_NE(each.result, verdict::model_differs);
  explore_options alone;
  alone.only_state = first->hash;
  alone.images = ::testing::TempDir();
  const report again = explore(
      scenario_of<counters>("last attempt", give_up_at_last, &count_both, &both_are_equal), alone);
  ASSERT_EQ(again.states.size(), 1U) << again;
  EXPECT_EQ(again.states[0].what, first->what);
  EXPECT_EQ(
      replay(scenario_of<counters>("last attempt", give_up_at_last, &count_both, &both_are_equal),
             again.states[0].image)
          .result,
      verdict::invariant_violated);
  ASSERT_EQ(::unlink(again.states[0].image.c_str()), 0);
}

/// Processes that want to run all the time, on the CPU of the calling thread.
class busy_cpu {
 public:
  explicit busy_cpu(int processes) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
    ::sched_getaffinity(0, sizeof before_, &before_);
    EXPECT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    for (int i = 0; i < processes; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) std::atomic_signal_fence(std::memory_order_seq_cst);
      }
      busy_.push_back(pid);
    }
  }
  ~busy_cpu() {
    for (const pid_t pid : busy_) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    ::sched_setaffinity(0, sizeof before_, &before_);
  }
  busy_cpu(const busy_cpu&) = delete;
  busy_cpu& operator=(const busy_cpu&) = delete;

 private:
  cpu_set_t before_;
  std::vector<pid_t> busy_;
};

std::chrono::nanoseconds used_by_this_process() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

TEST(must_find, a_repair_that_waits_for_a_processor_is_not_hung) {
  const auto slow = [](counters& of, const owner_death&) {
    static bool has_worked = false;  // once in each process that judges
    const auto begun = used_by_this_process();
    while (!has_worked && used_by_this_process() - begun < std::chrono::milliseconds(200)) {
    }
    has_worked = true;
    of.b = of.a;
    return repaired;
  };
  explore_options how;
  how.time_limit = std::chrono::milliseconds(400);
  how.depth = 1;
  how.confirm = 0;
  const busy_cpu beside(6);  // so that 200 ms of work take more than a second
  const report found = explore(
      scenario_of<counters>("waits for a processor", slow, &count_both, &both_are_equal), how);
  EXPECT_TRUE(found.ok()) << found;
}

TEST(must_find, a_repair_that_loops_for_ever) {
  const auto loop = [](counters& of, const owner_death&) {
    while (of.a != of.b) std::atomic_signal_fence(std::memory_order_seq_cst);
    return repaired;
  };
  explore_options soon;
  soon.time_limit = std::chrono::milliseconds(300);
  soon.max_hung = 1;
  const report found =
      explore(scenario_of<counters>("loop", loop, &count_both, &anything_goes), soon);
  expect_only(found, verdict::repair_hung);
  EXPECT_NE(found.summary().find("left out: what comes after 1 states whose heir hung (max_hung)"),
            std::string::npos)
      << found;
}

TEST(must_find, a_repair_that_crashes) {
  const auto crash = [](counters& of, const owner_death&) {
    if (of.a != of.b) std::raise(SIGSEGV);
    return repaired;
  };
  const report found = explore(scenario_of<counters>("crash", crash, &count_both, &anything_goes));
  expect_only(found, verdict::repair_crashed);
  EXPECT_NE(found.first_failure()->what.find("Segmentation fault"), std::string::npos) << found;
}

TEST(must_find, a_repair_that_gives_up) {
  const auto give_up = [](counters& of, const owner_death&) {
    return of.a == of.b ? repaired : failed;
  };
  expect_only(explore(scenario_of<counters>("gives up", give_up, &count_both, &anything_goes)),
              verdict::repair_failed);
}

// ---- a lock that is never released -------------------------------------------------------------
TEST(must_find, a_lock_that_is_taken_and_never_released) {
  scenario forgets = scenario_of<counters>(
      "forgets", [](counters&, const owner_death&) { return repaired; }, &count_both,
      &anything_goes);
  forgets.victim = [](segment& seg) { seg.find<guarded<counters>>("thing")->mutex().lock(); };
  const report found = explore(forgets);
  expect_only(found, verdict::lock_never_released);
  EXPECT_NE(found.first_failure()->what.find("thing"), std::string::npos) << found;
}

// ---- an invariant that holds only when nothing is under way ------------------------------------
TEST(must_find, an_invariant_that_is_true_only_when_no_transfer_is_under_way) {
  scenario unrepaired = bank_scenario(&undo_in_order);
  unrepaired.repairs = [](segment& seg) {
    return all_of(on_owner_death(seg, "account", always_consistent));
  };
  expect_only(explore(unrepaired), verdict::invariant_violated);
}

// ---- large and nested ----------------------------------------------------------------------------
explore_options victim_alone() {
  explore_options made;
  made.depth = 1;
  return made;
}

TEST(must_find, one_state_of_10000_that_is_repaired_wrongly) {
  explore_options how = victim_alone();
  how.confirm = 1;
  const report found = explore(many_stores_scenario(&count_entries_but_once), how);
  expect_only(found, verdict::invariant_violated);
  EXPECT_EQ(found.failed(), 1U) << found;
  EXPECT_THAT(found.first_failure()->what, HasSubstr("7777 entries, and the count says 7776"));
}

TEST(must_find, a_repair_of_one_of_three_locks_that_declares_the_others_undone) {
  const auto clears_all = [](long) { return 7L; };
  const report found = explore(three_locks_scenario(clears_all), victim_alone());
  expect_only(found, verdict::invariant_violated);
  EXPECT_THAT(found.first_failure()->what, HasSubstr("the sum is "));
  const report right = explore(three_locks_scenario(), victim_alone());
  EXPECT_TRUE(right.ok()) << right;
}

// ---- a store of 256 bytes ----------------------------------------------------------------------
struct two_halves {
  std::uint32_t current = 0;
  char text[2][256] = {};
};

const char* other_text() {
  static char text[256];
  std::memset(text, 'x', sizeof text);
  return text;
}

std::string text_is_whole(const two_halves& of) {
  const char* const text = of.text[of.current % 2];
  for (std::size_t i = 1; i < sizeof of.text[0]; ++i) {
    if (text[i] != text[0])
      return "byte " + std::to_string(i) + " belongs to another text than byte 0";
  }
  return {};
}

TEST(must_find, a_memcpy_of_256_bytes_that_is_torn) {
  const auto leave = [](two_halves&, const owner_death&) { return repaired; };
  const auto in_place = [](two_halves& of) {
    std::memcpy(of.text[of.current % 2], other_text(), 256);
  };
  const auto aside = [](two_halves& of) {
    std::memcpy(of.text[(of.current + 1) % 2], other_text(), 256);
    crash_barrier();
    of.current += 1;
  };
  expect_only(explore(scenario_of<two_halves>("memcpy", leave, in_place, &text_is_whole)),
              verdict::invariant_violated);
  EXPECT_SURVIVES_KILLS(scenario_of<two_halves>("memcpy, mended", leave, aside, &text_is_whole));
}

}  // namespace
}  // namespace outlive::killtest::testing
