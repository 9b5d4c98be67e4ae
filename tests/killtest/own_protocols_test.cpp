// outlive's own protocols, by the kit that its users have: each store of lock, unlock, claim,
// repair, recover and of the directory.
//
// Segment creation is not among them: it writes into a file that has no name yet, and not into the
// segment that the kit has. It is killed after each instruction by tests/step.
#include <outlive/killtest/gtest.hpp>

#include <outlive/outlive.hpp>

#include "killtest/bank.hpp"
#include "killtest/inside.hpp"

namespace outlive::killtest::testing {
namespace {

scenario of_mutex(std::string name, void (*victim)(robust_mutex&)) {
  scenario made;
  made.name = std::move(name);
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<robust_mutex>("mutex", "class"));
  };
  made.repairs = [](segment& seg) {
    return all_of(on_owner_death(seg, "class", always_consistent));
  };
  made.victim = [=](segment& seg) { victim(*seg.find<robust_mutex>("mutex")); };
  // The mutex can be had, and so can a second one: nobody's record is in the way.
  made.invariant = [](segment& seg) {
    auto& mutex = *seg.find<robust_mutex>("mutex");
    mutex.lock();
    auto& other = seg.find_or_construct<robust_mutex>("other", "class");
    other.lock();
    other.unlock();
    mutex.unlock();
    return std::string();
  };
  return made;
}

void expect_survives(scenario what, const explore_options& how) {
  what.before_recovery = no_alarm;
  const report found = explore(what, how);
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_GT(found.states.size(), 10U) << found;
  EXPECT_GT(found.nested_points, 10U) << found;
}

TEST(own_protocols, lock_and_unlock) {
  expect_survives(of_mutex("lock, unlock",
                           [](robust_mutex& mutex) {
                             mutex.lock();
                             mutex.unlock();
                           }),
                  inside());
}

TEST(own_protocols, try_lock_and_timed_lock) {
  expect_survives(of_mutex("try_lock, try_lock_for",
                           [](robust_mutex& mutex) {
                             if (mutex.try_lock()) mutex.unlock();
                             if (mutex.try_lock_for(std::chrono::milliseconds(1))) mutex.unlock();
                           }),
                  inside());
}

TEST(own_protocols, nested_locks_released_out_of_order) {
  scenario nested = of_mutex("nested", nullptr);
  nested.make = [](segment& seg) {
    for (const char* const name : {"mutex", "second", "third"})
      static_cast<void>(seg.find_or_construct<robust_mutex>(name, "class"));
  };
  nested.victim = [](segment& seg) {
    auto& first = *seg.find<robust_mutex>("mutex");
    auto& second = *seg.find<robust_mutex>("second");
    auto& third = *seg.find<robust_mutex>("third");
    first.lock();
    second.lock();
    third.lock();
    first.unlock();
    third.unlock();
    second.unlock();
  };
  expect_survives(nested, inside());
}

TEST(own_protocols, a_repair_that_fails_first) {
  scenario twice = of_mutex("failing repair", [](robust_mutex& mutex) {
    mutex.lock();
    mutex.unlock();
  });
  // By the attempt, which the segment counts: the first of a death fails.
  twice.repairs = [](segment& seg) {
    return all_of(on_owner_death(seg, "class", [](const owner_death& death) {
      return death.attempt() == 1 ? failed : repaired;
    }));
  };
  explore_options how = inside();
  how.depth = 1;
  const report found = explore(twice, how);
  EXPECT_TRUE(found.fault.empty()) << found;
  EXPECT_GT(found.failed(), 0U) << "a failed repair must be told";
  for (const crash_state& each : found.states) {
    EXPECT_TRUE(each.result == verdict::ok || each.result == verdict::repair_failed) << found;
  }
}

struct cell {
  long value = 42;
};

scenario of_directory(std::string title, void (*victim)(segment&)) {
  scenario made;
  made.name = std::move(title);
  made.make = [](segment& seg) {
    for (const char* const object : {"a", "b", "c"})
      static_cast<void>(seg.find_or_construct<cell>(object));
  };
  made.victim = [=](segment& seg) { victim(seg); };
  // Each object is there whole, or not at all; the directory works, and says the same in all ways.
  made.invariant = [](segment& seg) {
    std::size_t seen = 0;
    std::string wrong;
    seg.for_each([&](const segment::object_info& object) {
      ++seen;
      const cell* const found = seg.find<cell>(object.name);
      if (found == nullptr) wrong = std::string(object.name) + " is listed, and not found";
      if (found != nullptr && found->value != 42)
        wrong = std::string(object.name) + " is half made";
    });
    if (!wrong.empty()) return wrong;
    std::size_t found = 0;
    for (const char* const name :
         {"a", "b", "c", "new", "an object whose name does not fit into the header of its block"}) {
      if (seg.find<cell>(name) != nullptr) ++found;
    }
    if (found != seen)
      return std::to_string(found) + " objects are found, and " + std::to_string(seen) + " listed";
    for (const char* const name : {"new", "newer", "a"}) {
      if (seg.find_or_construct<cell>(name).value != 42)
        return std::string(name) + " cannot be made";
    }
    return seg.destroy<cell>("newer") && seg.find<cell>("newer") == nullptr
               ? std::string()
               : std::string("an object cannot be destroyed");
  };
  return made;
}

TEST(own_protocols, directory_insert) {
  EXPECT_SURVIVES_KILLS(
      of_directory("insert",
                   [](segment& seg) {
                     static_cast<void>(seg.find_or_construct<cell>("new"));
                     static_cast<void>(seg.find_or_construct<cell>(
                         "an object whose name does not fit into the header of its block"));
                   }),
      inside());
}

TEST(own_protocols, directory_destroy_and_use_of_the_freed_block) {
  EXPECT_SURVIVES_KILLS(of_directory("destroy",
                                     [](segment& seg) {
                                       seg.destroy<cell>("b");
                                       static_cast<void>(seg.find_or_construct<cell>("new"));
                                       seg.destroy<cell>("a");
                                     }),
                        inside());
}

TEST(own_protocols, a_guarded_transfer_in_all_books) {
  explore_options how = inside();
  const report found = explore(bank_scenario(&undo_in_order), how);
  EXPECT_TRUE(found.ok()) << found;
}

}  // namespace
}  // namespace outlive::killtest::testing
