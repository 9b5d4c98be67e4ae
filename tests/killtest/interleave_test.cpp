// interleave(): the faults that it must find, and the right programs that it must pass.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <outlive/crash_barrier.hpp>
#include <outlive/killtest/interleave.hpp>
#include <outlive/outlive.hpp>

namespace outlive::killtest::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

using word = std::atomic<std::uint32_t>;

/// Without a time-out if `limit` is nullptr.
void sleep_while(word& at, std::uint32_t seen, const timespec* limit = nullptr) {
  ::syscall(SYS_futex, &at, FUTEX_WAIT, seen, limit, nullptr, 0);
}
void wake_all(word& at) {
  ::syscall(SYS_futex, &at, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

/// What the threads of most programs here share.
struct room {
  word first{0};
  word second{0};
  long a = 0;
  long b = 0;
};

room& room_in(segment& seg) {
  return *seg.find<room>("room");
}

using body = std::function<void(segment&)>;

concurrent_scenario of_room(std::string name, std::vector<std::pair<std::string, body>> threads) {
  concurrent_scenario made;
  made.name = std::move(name);
  made.make = [](segment& seg) { static_cast<void>(seg.find_or_construct<room>("room")); };
  for (auto& [thread, run] : threads) made.threads.push_back({thread, std::move(run)});
  return made;
}

/// Nobody dies.
interleave_options alive() {
  interleave_options made;
  made.deaths = 0;
  return made;
}

/// It is found; and the one schedule finds it again, alone.
interleave_report expect_found(const concurrent_scenario& what, const interleave_options& how,
                               schedule_fault expected) {
  const interleave_report found = interleave(what, how);
  EXPECT_EQ(found.found, expected) << found;
  EXPECT_FALSE(found.ok());
  EXPECT_FALSE(found.steps.empty()) << found;
  interleave_options again = how;
  again.only = found.schedule;
  const interleave_report alone = interleave(what, again);
  EXPECT_EQ(alone.found, expected) << alone;
  EXPECT_EQ(alone.steps, found.steps);
  EXPECT_EQ(alone.schedules, 1U);
  return found;
}

void expect_passes(const concurrent_scenario& what, const interleave_options& how,
                   std::size_t at_least) {
  const interleave_report found = interleave(what, how);
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_EQ(found.cut, "") << found;
  EXPECT_EQ(found.diverged, 0U) << found;
  EXPECT_GE(found.schedules, at_least) << found;
}

// ---- waits and wake-ups ------------------------------------------------------------------------
void announce(segment& seg) {
  room& of = room_in(seg);
  of.first.store(1);
  of.second.fetch_add(1);
  wake_all(of.second);
}

TEST(interleave, a_check_before_the_word_is_read_loses_the_wake_up) {
  const auto await = [](segment& seg) {
    room& of = room_in(seg);
    if (of.first.load() == 0) sleep_while(of.second, of.second.load());
  };
  const auto found =
      expect_found(of_room("check first", {{"waiter", await}, {"notifier", announce}}), alive(),
                   schedule_fault::lost_wake_up);
  EXPECT_THAT(found.what, HasSubstr("waiter slept on while nobody could run at "));
  EXPECT_THAT(found.what, HasSubstr("interleave_test.cpp:"));
}

TEST(interleave, a_time_out_that_hides_a_lost_wake_up_is_found) {
  const auto await = [](segment& seg) {
    room& of = room_in(seg);
    const timespec slice{0, 250'000'000};
    while (of.first.load() == 0) sleep_while(of.second, of.second.load(), &slice);
  };
  const auto scenario_of = [&] {
    return of_room("slices", {{"waiter", await}, {"notifier", announce}});
  };
  expect_found(scenario_of(), alive(), schedule_fault::lost_wake_up);
  interleave_options helped = alive();
  helped.lost_wake_ups = false;
  const interleave_report meant = interleave(scenario_of(), helped);
  EXPECT_TRUE(meant.ok()) << meant;
  EXPECT_GT(meant.helped_by_time_out, 0U) << meant;
}

TEST(interleave, a_word_that_is_read_before_the_check_loses_nothing) {
  const auto await = [](segment& seg) {
    room& of = room_in(seg);
    for (;;) {
      const std::uint32_t seen = of.second.load();
      if (of.first.load() != 0) return;
      sleep_while(of.second, seen);
    }
  };
  expect_passes(of_room("read first", {{"waiter", await}, {"notifier", announce}}), alive(), 4);
}

/// A lock of three words: 0 free, 1 taken, 2 taken and somebody may sleep.
void acquire(word& lock) {
  std::uint32_t seen = 0;
  if (lock.compare_exchange_strong(seen, 1)) return;
  while (lock.exchange(2) != 0) sleep_while(lock, 2);
}

TEST(interleave, an_unlock_that_wakes_nobody) {
  const auto use = [](bool wakes) {
    return [=](segment& seg) {
      room& of = room_in(seg);
      acquire(of.first);
      of.a = of.a + 1;
      if (of.first.exchange(0) == 2 && wakes) wake_all(of.first);
    };
  };
  expect_found(of_room("no wake", {{"one", use(false)}, {"two", use(false)}}), alive(),
               schedule_fault::lost_wake_up);
  concurrent_scenario right = of_room("wakes", {{"one", use(true)}, {"two", use(true)}});
  right.invariant = [](segment& seg) {
    return room_in(seg).a <= 2 ? std::string() : std::string("counted too often");
  };
  expect_passes(right, alive(), 10);
}

TEST(interleave, two_locks_in_two_orders) {
  concurrent_scenario what;
  what.name = "two orders";
  what.make = [](segment& seg) {
    for (const char* const name : {"left", "right"})
      static_cast<void>(seg.find_or_construct<robust_mutex>(name, "class"));
  };
  what.repairs = [](segment& seg) {
    return all_of(on_owner_death(seg, "class", always_consistent));
  };
  const auto both = [](const char* first, const char* second) {
    return [=](segment& seg) {
      auto& outer = *seg.find<robust_mutex>(first);
      auto& inner = *seg.find<robust_mutex>(second);
      outer.lock();
      inner.lock();
      inner.unlock();
      outer.unlock();
    };
  };
  what.threads = {{"left first", both("left", "right")}, {"right first", both("right", "left")}};
  interleave_options how = alive();
  how.preemptions = 1;
  how.patience = std::chrono::seconds(1);
  const auto found = expect_found(what, how, schedule_fault::waits_for_ever);
  EXPECT_THAT(found.what, HasSubstr("left first waits at "));
  EXPECT_THAT(found.what, HasSubstr(", and right first waits at "));
  EXPECT_THAT(found.steps, Contains(HasSubstr(" first is preempted")));

  what.threads = {{"one", both("left", "right")}, {"two", both("left", "right")}};
  expect_passes(what, how, 10);
}

// ---- data --------------------------------------------------------------------------------------
TEST(interleave, a_flag_that_is_set_before_what_it_announces) {
  const auto use = [](bool flag_first) {
    return [=](segment& seg) {
      room& of = room_in(seg);
      auto& mutex = *seg.find<robust_mutex>("mutex");
      if (of.first.load(std::memory_order_acquire) == 0) {
        mutex.lock();
        if (of.first.load(std::memory_order_relaxed) == 0) {
          if (flag_first) of.first.store(1, std::memory_order_release);
          of.a = 42;
          if (!flag_first) of.first.store(1, std::memory_order_release);
        }
        mutex.unlock();
      }
      if (of.a != 42) throw std::runtime_error("found a value that was announced and not made");
    };
  };
  const auto scenario_of = [&](bool flag_first) {
    concurrent_scenario made =
        of_room("double check", {{"one", use(flag_first)}, {"two", use(flag_first)}});
    made.make = [](segment& seg) {
      static_cast<void>(seg.find_or_construct<room>("room"));
      static_cast<void>(seg.find_or_construct<robust_mutex>("mutex", "class"));
    };
    return made;
  };
  const auto found = expect_found(scenario_of(true), alive(), schedule_fault::threw);
  EXPECT_THAT(found.what, HasSubstr("threw: found a value that was announced and not made"));
  // It takes a preemption at a plain store. Nothing else shows it.
  interleave_options at_locks = alive();
  at_locks.at_plain_accesses = 0;
  EXPECT_TRUE(interleave(scenario_of(true), at_locks).ok());
  expect_passes(scenario_of(false), alive(), 20);
}

struct pair {
  long a = 0;
  long b = 0;
  long needs_repair = 0;
};

/// The owner died before the threads begin: an heir and a client. The repair is right, but for
/// where it runs.
concurrent_scenario of_pair(std::string name, bool repair_in_lock) {
  concurrent_scenario made;
  made.name = std::move(name);
  made.make = [](segment& seg) {
    auto& value = seg.find_or_construct<guarded<pair>>("pair", "pairs");
    const pid_t owner = ::fork();
    if (owner == 0) {
      auto hold = value.lock();
      hold->a = 1;
      ::_exit(0);
    }
    ASSERT_EQ(::waitpid(owner, nullptr, 0), owner);
  };
  const auto mend = [](pair& of) {
    const long b = of.b;
    OUTLIVE_CRASH_BARRIER();
    of.a = b;
    OUTLIVE_CRASH_BARRIER();
    of.needs_repair = 0;
  };
  made.repairs = [=](segment& seg) {
    return all_of(on_owner_death<pair>(seg, "pairs", [=](pair& of, const owner_death&) {
      of.needs_repair = 1;
      if (repair_in_lock) mend(of);
      return repaired;
    }));
  };
  const auto add = [](pair& of) {
    of.a = of.a + 1;
    OUTLIVE_CRASH_BARRIER();
    of.b = of.b + 1;
  };
  const auto in = [](segment& seg) -> guarded<pair>& { return *seg.find<guarded<pair>>("pair"); };
  const auto look = [=](segment& seg) {
    pair* of = nullptr;
    bool needs_repair = false;
    {
      auto hold = in(seg).lock();
      of = &*hold;
      needs_repair = of->needs_repair != 0;
    }
    if (needs_repair) mend(*of);
  };
  const auto use = [=](segment& seg) {
    auto hold = in(seg).lock();
    add(*hold);
  };
  made.threads = {{"heir", look}, {"client", use}};
  made.invariant = [=](segment& seg) {
    auto hold = in(seg).lock();
    if (hold->needs_repair != 0 || hold->a == hold->b) return std::string();
    return "a is " + std::to_string(hold->a) + " and b is " + std::to_string(hold->b);
  };
  return made;
}

TEST(interleave, a_repair_outside_of_the_lock_races_with_a_client) {
  interleave_options how = alive();
  how.preemptions = 1;
  const auto found =
      expect_found(of_pair("outside", false), how, schedule_fault::invariant_violated);
  EXPECT_THAT(found.what, HasSubstr("a is "));
  EXPECT_THAT(found.steps, Contains(HasSubstr("heir is preempted at interleave_test.cpp:")));
  expect_passes(of_pair("inside", true), how, 20);
}

// ---- deaths ------------------------------------------------------------------------------------
/// Both threads add to both values; the repair leaves what the death left, or mends it.
concurrent_scenario of_adders(std::string name, bool mends) {
  concurrent_scenario made;
  made.name = std::move(name);
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<pair>>("pair", "pairs"));
  };
  made.repairs = [=](segment& seg) {
    return all_of(on_owner_death<pair>(seg, "pairs", [=](pair& of, const owner_death&) {
      if (mends) of.a = of.b;
      return repaired;
    }));
  };
  const auto add = [](segment& seg) {
    auto hold = seg.find<guarded<pair>>("pair")->lock();
    if (hold->a != hold->b) throw std::runtime_error("found half a change");
    hold->a = hold->a + 1;
    OUTLIVE_CRASH_BARRIER();
    hold->b = hold->b + 1;
  };
  made.threads = {{"one", add}, {"two", add}};
  return made;
}

TEST(interleave, a_living_thread_that_meets_what_a_death_left) {
  interleave_options how;
  how.preemptions = 0;
  const auto found = expect_found(of_adders("leaves", false), how, schedule_fault::threw);
  EXPECT_THAT(found.steps, Contains(HasSubstr(" dies at interleave_test.cpp:")));
  EXPECT_THAT(found.command, HasSubstr("OUTLIVE_KILLTEST_SCHEDULE="));
  how.preemptions = 1;
  how.max_schedules = 200;
  const interleave_report right = interleave(of_adders("mends", true), how);
  EXPECT_TRUE(right.ok()) << right;
  EXPECT_EQ(right.schedules, 200U) << right;
  EXPECT_GT(right.deaths, 100U) << right;
  EXPECT_THAT(right.cut, HasSubstr("(max_schedules)"));
}

TEST(interleave, the_same_options_make_the_same_schedules) {
  interleave_options how;
  how.max_schedules = 100;
  const interleave_report first = interleave(of_adders("mends", true), how);
  const interleave_report second = interleave(of_adders("mends", true), how);
  EXPECT_EQ(first.summary(), second.summary());
  EXPECT_EQ(first.accesses, second.accesses);
  how.preemptions = 0;
  EXPECT_EQ(interleave(of_adders("leaves", false), how).schedule,
            interleave(of_adders("leaves", false), how).schedule);
}

TEST(interleave, the_environment_chooses_the_schedule) {
  const auto what = of_adders("leaves", false);
  interleave_options how;
  how.preemptions = 0;
  const interleave_report found = interleave(what, how);
  ASSERT_EQ(found.found, schedule_fault::threw) << found;
  ASSERT_EQ(::setenv("OUTLIVE_KILLTEST_SCHEDULE", ("leaves: " + found.schedule).c_str(), 1), 0);
  const interleave_report alone = interleave(what, how);
  EXPECT_EQ(alone.schedules, 1U);
  EXPECT_EQ(alone.found, schedule_fault::threw) << alone;
  EXPECT_GT(interleave(of_adders("another name", true), how).schedules, 1U);
  ASSERT_EQ(::setenv("OUTLIVE_KILLTEST_SCHEDULE", "leaves: one, then two", 1), 0);
  EXPECT_THROW(static_cast<void>(interleave(what, how)), std::invalid_argument);
}

/// A lock that the kernel takes from a process that ends. It is no part of the segment.
class file_lock {
 public:
  file_lock() : file_(::memfd_create("lock", MFD_CLOEXEC)) {}
  ~file_lock() { ::close(file_); }
  file_lock(const file_lock&) = delete;
  file_lock& operator=(const file_lock&) = delete;
  void acquire() const {
    struct flock all = of_all();
    if (::fcntl(file_, F_SETLK, &all) != 0) throw std::runtime_error("the file cannot be locked");
  }
  /// By another process than this one.
  [[nodiscard]] bool is_held() const {
    struct flock all = of_all();
    if (::fcntl(file_, F_GETLK, &all) != 0) throw std::runtime_error("the lock cannot be read");
    return all.l_type != F_UNLCK;
  }

 private:
  static struct flock of_all() {
    struct flock made {};
    made.l_type = F_WRLCK;
    made.l_whence = SEEK_SET;
    return made;
  }
  int file_;
};

/// It says that it is in. Who dies there goes on saying so. The kernel marks no mutex, because the
/// list is lost. So no byte of the segment tells the two states apart, and the first schedule comes
/// to the one that is right.
TEST(interleave, a_state_that_is_right_only_while_its_thread_lives) {
  const file_lock lives;
  const auto use = [&](segment& seg) {
    lives.acquire();
    static robust_list_head nothing;
    nothing.list.next = &nothing.list;
    ::syscall(SYS_set_robust_list, &nothing, sizeof nothing);
    room_in(seg).first.store(1);
    ::sched_yield();
    room_in(seg).first.store(0);
  };
  concurrent_scenario what = of_room("says that it is in", {{"visitor", use}});
  what.invariant = [&](segment& seg) {
    return room_in(seg).first.load() != 0 && !lives.is_held() ? "nobody is in" : std::string();
  };
  const interleave_report nobody_dies = interleave(what, alive());
  EXPECT_TRUE(nobody_dies.ok()) << nobody_dies;
  const auto found = expect_found(what, {}, schedule_fault::invariant_violated);
  EXPECT_THAT(found.steps, Contains(HasSubstr(" dies at ")));
}

// ---- other ends --------------------------------------------------------------------------------
TEST(interleave, a_thread_that_crashes_is_named_with_its_line) {
  const auto crash = [](segment& seg) {
    const volatile int* const nowhere = nullptr;
    if (room_in(seg).first.load() != 0) room_in(seg).a = *nowhere;
  };
  const auto found = expect_found(of_room("crashes", {{"reader", crash}, {"notifier", announce}}),
                                  alive(), schedule_fault::crashed);
  EXPECT_THAT(found.what, HasSubstr("reader ended by signal 11 (Segmentation fault)"));
  EXPECT_THAT(found.what, HasSubstr("interleave_test.cpp:"));
}

TEST(interleave, a_thread_that_spins_lets_others_go_on) {
  const auto spin = [](segment& seg) {
    while (room_in(seg).first.load() == 0) {
    }
  };
  interleave_options how = alive();
  how.preemptions = 0;
  how.max_accesses = 6'000;
  expect_passes(of_room("spins", {{"spinner", spin}, {"notifier", announce}}), how, 2);
  expect_found(of_room("spins for ever", {{"spinner", spin}}), how, schedule_fault::runs_for_ever);
}

TEST(interleave, time_passes_while_all_who_can_run_spin_or_yield) {
  const auto sleep = [](int naps) {
    return [=](segment& seg) {
      const timespec soon{0, 1'000'000};
      for (int i = 0; i < naps; ++i) ::nanosleep(&soon, nullptr);
      room_in(seg).first.store(1);
    };
  };
  const auto await = [](bool yields) {
    return [=](segment& seg) {
      while (room_in(seg).first.load() == 0) {
        if (yields) ::sched_yield();
      }
    };
  };
  interleave_options how = alive();
  how.preemptions = 1;
  expect_passes(of_room("yields", {{"sleeper", sleep(2)}, {"yields", await(true)}}), how, 2);
  how.preemptions = 0;
  expect_passes(
      of_room("two yield", {{"sleeper", sleep(1)}, {"one", await(true)}, {"two", await(true)}}),
      how, 2);
  expect_passes(of_room("spins beside a sleeper", {{"sleeper", sleep(1)}, {"spins", await(false)}}),
                how, 2);
}

TEST(interleave, a_sleeper_beyond_patience_and_one_that_yields_run_for_ever) {
  const auto sleep = [](segment& seg) {
    const timespec hours{7200, 0};
    ::nanosleep(&hours, nullptr);
    room_in(seg).first.store(1);
  };
  const auto await = [](segment& seg) {
    while (room_in(seg).first.load() == 0) ::sched_yield();
  };
  interleave_options how = alive();
  how.preemptions = 0;
  how.max_accesses = 200;
  expect_found(of_room("yields for hours", {{"sleeper", sleep}, {"yields", await}}), how,
               schedule_fault::runs_for_ever);
}

TEST(interleave, a_yield_after_the_change_does_not_hide_a_lost_wake_up) {
  const auto await = [](segment& seg) {
    const timespec slice{0, 250'000'000};
    while (room_in(seg).first.load() == 0) sleep_while(room_in(seg).first, 0, &slice);
  };
  const auto forget = [](segment& seg) {
    room_in(seg).first.store(1);
    ::sched_yield();
  };
  expect_found(of_room("yields, wakes nobody", {{"waiter", await}, {"forgets", forget}}), alive(),
               schedule_fault::lost_wake_up);
}

TEST(interleave, hours_of_waiting_take_no_time) {
  const auto sleep = [](segment& seg) {
    const auto before = std::chrono::steady_clock::now();
    const timespec hours{7200, 0};
    ::nanosleep(&hours, nullptr);
    if (std::chrono::steady_clock::now() - before < std::chrono::hours(2))
      throw std::runtime_error("it slept too short");
    announce(seg);
  };
  const auto await = [](segment& seg) {
    while (room_in(seg).second.load() == 0) sleep_while(room_in(seg).second, 0);
  };
  interleave_options how = alive();
  how.preemptions = 1;
  how.patience = std::chrono::hours(3);
  const interleave_report found =
      interleave(of_room("sleeps", {{"sleeper", sleep}, {"waiter", await}}), how);
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_GT(found.time_outs, 0U) << found;
}

TEST(interleave, a_scenario_that_cannot_be_run_is_refused) {
  EXPECT_THROW(static_cast<void>(interleave(of_room("nobody", {}))), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(interleave(of_room("nothing", {{"idle", nullptr}}))),
               std::invalid_argument);
  interleave_options how;
  how.only = "5";
  const interleave_report found = interleave(of_room("alone", {{"one", announce}}), how);
  EXPECT_FALSE(found.ok());
  EXPECT_THAT(found.fault, HasSubstr("names a thread that cannot run there"));
}

// ---- a mutex in two hands ----------------------------------------------------------------------
TEST(interleave, a_mutex_that_is_made_anew_while_it_is_held) {
  concurrent_scenario what = of_room("made anew", {});
  what.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<robust_mutex>("mutex", "class"));
  };
  const auto use = [](bool breaks) {
    return [=](segment& seg) {
      auto& mutex = *seg.find<robust_mutex>("mutex");
      if (breaks) new (&mutex) robust_mutex("class");
      mutex.lock();
      mutex.unlock();
    };
  };
  what.threads = {{"honest", use(false)}, {"thief", use(true)}};
  const auto found = expect_found(what, alive(), schedule_fault::not_exclusive);
  EXPECT_THAT(found.what, HasSubstr("the mutex \"mutex\" is held by honest and by thief"));
}

}  // namespace
}  // namespace outlive::killtest::testing
