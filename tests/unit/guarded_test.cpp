// guarded<T>: the value is reached through its lock alone, and a guard gives back what it has,
// once.
#include <outlive/guarded.hpp>
#include <outlive/misuse.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

struct bank {
  long a = 500;
  long b = 500;
};

struct guarded_test : ::testing::Test {
  test_name name;
  segment seg = segment::create(name);
  guarded<bank>& accounts = seg.find_or_construct<guarded<bank>>("accounts", "account");

  bool is_free() const {
    bool free = false;
    elsewhere([&] { free = static_cast<bool>(accounts.try_lock()); });
    return free;
  }
};

TEST_F(guarded_test, the_value_is_constructed_from_the_arguments) {
  struct point {
    point(int x_, std::string_view text) : x(x_), length(text.size()) {}
    int x;
    std::size_t length;
  };
  const auto hold = seg.find_or_construct<guarded<point>>("point", "point", 3, "four").lock();
  EXPECT_EQ(hold->x, 3);
  EXPECT_EQ((*hold).length, 4U);
}

TEST_F(guarded_test, a_guard_holds_until_its_end) {
  {
    const auto x = accounts.lock();
    EXPECT_TRUE(x);
    x->a -= 1;
    (*x).b += 1;
    EXPECT_FALSE(is_free());
  }
  EXPECT_TRUE(is_free());
  EXPECT_EQ(accounts.lock()->a, 499);
}

TEST_F(guarded_test, unlock_gives_back_early_and_once) {
  auto x = accounts.lock();
  x.unlock();
  EXPECT_FALSE(x);
  EXPECT_TRUE(is_free());
  auto y = accounts.lock();
  x.unlock();  // empty: does nothing
  EXPECT_FALSE(is_free());
}

TEST_F(guarded_test, guards_move) {
  auto x = accounts.lock();
  auto y = std::move(x);
  EXPECT_FALSE(x);  // NOLINT(bugprone-use-after-move): what it says after a move
  EXPECT_TRUE(y);
  EXPECT_FALSE(is_free());
  guarded<bank>::guard z;
  EXPECT_FALSE(z);
  z = std::move(y);
  EXPECT_TRUE(z);
  EXPECT_EQ(z->a, 500);
  auto& self = z;
  z = std::move(self);
  EXPECT_TRUE(z);
  EXPECT_FALSE(is_free());
  // What a guard had is given back when it gets another.
  auto& others = seg.find_or_construct<guarded<bank>>("others", "account");
  z = others.lock();
  EXPECT_TRUE(is_free());
  elsewhere([&] { EXPECT_FALSE(others.try_lock()); });
  z = {};
  elsewhere([&] { EXPECT_TRUE(others.try_lock()); });
}

TEST_F(guarded_test, every_form_gives_a_guard_that_holds_or_does_not) {
  std::error_code error = errc::damaged;
  EXPECT_TRUE(accounts.lock(error));
  EXPECT_FALSE(error);
  EXPECT_TRUE(accounts.try_lock());
  EXPECT_TRUE(accounts.try_lock(error));
  EXPECT_TRUE(accounts.try_lock_for(std::chrono::milliseconds(1)));
  EXPECT_TRUE(accounts.try_lock_until(std::chrono::system_clock::now()));
  error = errc::damaged;
  EXPECT_TRUE(accounts.try_lock_for(std::chrono::milliseconds(1), error));
  EXPECT_FALSE(error);
  error = errc::damaged;
  EXPECT_TRUE(accounts.try_lock_until(std::chrono::system_clock::now(), error));
  EXPECT_FALSE(error);
  EXPECT_TRUE(is_free());
  const auto hold = accounts.lock();
  elsewhere([&] {
    EXPECT_FALSE(accounts.try_lock());
    EXPECT_FALSE(accounts.try_lock(error));
    EXPECT_FALSE(error);
    EXPECT_FALSE(accounts.try_lock_for(std::chrono::milliseconds(1)));
    EXPECT_FALSE(accounts.try_lock_until(std::chrono::steady_clock::now()));
    error = errc::damaged;
    EXPECT_FALSE(accounts.try_lock_for(std::chrono::milliseconds(1), error));
    EXPECT_FALSE(error) << "somebody else holding it is no error";
    error = errc::damaged;
    EXPECT_FALSE(accounts.try_lock_until(std::chrono::steady_clock::now(), error));
    EXPECT_FALSE(error);
  });
  EXPECT_FALSE(accounts.lock(error));
  EXPECT_EQ(error, errc::deadlock);
  error.clear();
  EXPECT_FALSE(accounts.try_lock_for(std::chrono::milliseconds(1), error));
  EXPECT_EQ(error, errc::deadlock);
  error.clear();
  EXPECT_FALSE(accounts.try_lock_until(std::chrono::steady_clock::now(), error));
  EXPECT_EQ(error, errc::deadlock);
  EXPECT_THROW((void)accounts.lock(), std::system_error);
}

TEST_F(guarded_test, several_at_once_by_their_mutexes) {
  auto& others = seg.find_or_construct<guarded<bank>>("others", "account");
  const std::scoped_lock both(accounts.mutex(), others.mutex());
  accounts.unguarded().a -= 1;
  others.unguarded().a += 1;
  EXPECT_FALSE(is_free());
  EXPECT_EQ(std::as_const(accounts).unguarded().a, 499);
  EXPECT_EQ(&std::as_const(accounts).mutex(), &accounts.mutex());
}

TEST_F(guarded_test, a_guard_of_another_thread_gives_nothing_back) {
  set_misuse_handler([](const misuse&) {});
  auto x = accounts.lock();
  elsewhere([&] { const auto theirs = std::move(x); });
  EXPECT_FALSE(x);  // NOLINT(bugprone-use-after-move)
  EXPECT_FALSE(is_free());
  accounts.mutex().unlock();
  EXPECT_TRUE(is_free());
}

TEST_F(guarded_test, unlock_by_another_thread_is_told) {
  auto x = accounts.lock();
  elsewhere([&] {
    expect_error(errc::not_owner, {name.quoted(), "mutex \"accounts\" of class \"account\""},
                 [&] { x.unlock(); });
  });
  accounts.mutex().unlock();
}

TEST_F(guarded_test, after_a_death_the_repair_gets_the_value) {
  int runs = 0;
  const auto repair = on_owner_death<bank>(seg, "account", [&](bank& x, const owner_death& death) {
    ++runs;
    EXPECT_EQ(death.mutex_name(), "accounts");
    EXPECT_EQ(&x, &accounts.unguarded());
    x.b = 1000 - x.a;
    return repaired;
  });
  elsewhere([&] {
    accounts.mutex().lock();
    accounts.unguarded().a -= 100;
  });
  const auto x = accounts.lock();
  EXPECT_TRUE(x.recovered());
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(x->a, 400);
  EXPECT_EQ(x->b, 600);
}

TEST_F(guarded_test, recovered_is_said_of_one_acquisition) {
  const auto repair = on_owner_death<bank>(seg, "account", always_consistent);
  EXPECT_FALSE(accounts.lock().recovered());
  die_holding(accounts.mutex());
  auto x = accounts.lock();
  EXPECT_TRUE(x.recovered());
  auto y = std::move(x);
  EXPECT_TRUE(y.recovered());
  EXPECT_FALSE(x.recovered());  // NOLINT(bugprone-use-after-move)
  y.unlock();
  EXPECT_FALSE(y.recovered());
  EXPECT_FALSE(accounts.lock().recovered());
}

template <class T>
void expect_value_behind_the_mutex(segment& seg, const std::string& name) {
  auto& made = seg.find_or_construct<guarded<T>>(name, name);
  const auto* const begin = reinterpret_cast<const char*>(&made);
  const auto* const value = reinterpret_cast<const char*>(&made.unguarded());
  EXPECT_EQ(static_cast<std::size_t>(value - begin), guarded<T>::value_offset());
  EXPECT_EQ(guarded<T>::value_offset(), 64U);
  EXPECT_EQ(static_cast<const void*>(&made.mutex()), static_cast<const void*>(begin));
}

TEST_F(guarded_test, the_mutex_comes_first_and_the_value_where_its_class_says) {
  struct alignas(64) line {
    char bytes[64];
  };
  expect_value_behind_the_mutex<char>(seg, "char");
  expect_value_behind_the_mutex<long double>(seg, "long double");
  expect_value_behind_the_mutex<line>(seg, "line");
  expect_value_behind_the_mutex<const int>(seg, "constant");
}

TEST_F(guarded_test, a_value_that_throws_leaves_no_object) {
  struct thrower {
    thrower() { throw std::runtime_error("no luck"); }
  };
  EXPECT_THROW(seg.find_or_construct<guarded<thrower>>("thrower", "thrower"), std::runtime_error);
  EXPECT_EQ(seg.find<guarded<thrower>>("thrower"), nullptr);
}

}  // namespace
}  // namespace outlive::testing
