// Killed in every state of an object's construction and destruction, and of the interning of a lock
// class. After each death the directory is sound: the name is there with a whole object or not
// there at all, all other objects are intact, and the name can be constructed.
#include <unistd.h>

#include <map>
#include <string>

#include "step/world.hpp"
#include "support/child.hpp"

using namespace outlive;
using namespace outlive::testing;

namespace {

struct cell {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  explicit cell(std::uint64_t value) : first(value) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    last = value;
  }
  bool operator==(const cell&) const = default;
};

const std::string long_name(100, 'n');  // stands behind the object, in lines of its own

// Objects around the one in question, which no death may touch.
class neighbours {
 public:
  explicit neighbours(world& w) : w_(w) {
    for (std::uint64_t i = 0; i < 20; ++i) w_.shared().find_or_construct<cell>(name(i), i);
  }

  // `in_question` may be there. Nothing else may have come or gone, by any way of looking.
  void expect_intact(const std::string& in_question) const {
    std::map<std::string, std::size_t> visited;
    w_.shared().for_each(
        [&](const segment::object_info& info) { ++visited[std::string(info.name)]; });
    for (std::uint64_t i = 0; i < 20; ++i) {
      const cell* const found = w_.shared().find<cell>(name(i));
      ASSERT_NE(found, nullptr) << name(i);
      EXPECT_EQ(*found, cell(i));
      EXPECT_EQ(visited[name(i)], 1U);
    }
    EXPECT_LE(visited[in_question], 1U) << "a name twice";
    visited.erase(in_question);
    EXPECT_EQ(visited.size(), 20 + w_.locks());
  }

 private:
  static std::string name(std::uint64_t i) { return "neighbour " + std::to_string(i); }
  world& w_;
};

constexpr std::uint64_t value = 0x0123456789abcdef;

// What may be found of the object at the victim's death, and that the name works from now on.
void expect_whole_or_absent(world& w, const std::string& name) {
  const cell* const found = w.shared().find<cell>(name);
  if (found != nullptr) {
    EXPECT_EQ(*found, cell(value)) << "half an object";
  }
  cell& made = w.shared().find_or_construct<cell>(name, value);
  EXPECT_EQ(made, cell(value));
  EXPECT_EQ(w.shared().find<cell>(name), &made);
  if (found != nullptr) {
    EXPECT_EQ(found, &made);
  }
}

std::uint32_t objects_of(const world& w) {
  return w.mapped().header().directory_counts.live.load();
}

// The victim constructs `name`; the parent takes it away again, so that each run finds the same.
void construct(const char* title, const std::string& name, bool block_was_used) {
  world w(1);
  w.register_repair();
  const neighbours others(w);
  const std::uint32_t before = objects_of(w);
  auto plan = w.plan(title, 97);
  if (block_was_used) {
    w.shared().find_or_construct<cell>(name, 1U);
    w.shared().destroy<cell>(name);
  }
  std::size_t there = 0, absent = 0;
  // the dead keep their places among the threads at internal locks
  plan.setup = [&] { w.start_over(); };
  plan.victim = [&](agent&) {
    w.warm_up();
    section_begin();
    w.shared().find_or_construct<cell>(name, value);
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    const bool found = w.shared().find<cell>(name) != nullptr;
    ++(found ? there : absent);
    EXPECT_TRUE(found || point.died);
    others.expect_intact(name);
    expect_whole_or_absent(w, name);
    EXPECT_EQ(objects_of(w), before + 1);
    EXPECT_TRUE(w.shared().destroy<cell>(name));
    EXPECT_EQ(w.shared().find<cell>(name), nullptr);
    others.expect_intact(name);
    EXPECT_EQ(objects_of(w), before);
    w.settle();
  };
  w.run(plan);
  EXPECT_GT(there, 0U);
  EXPECT_GT(absent, 0U);
}

}  // namespace

TEST(directory_step, killed_at_every_state_of_find_or_construct) {
  OUTLIVE_NEEDS_TRACING();
  construct("find_or_construct of a short name", "short", true);
}

TEST(directory_step, killed_at_every_state_of_find_or_construct_of_a_long_name) {
  OUTLIVE_NEEDS_TRACING();
  construct("find_or_construct of a long name", long_name, true);
}

TEST(directory_step, killed_at_every_state_of_find_or_construct_in_fresh_memory) {
  OUTLIVE_NEEDS_TRACING();
  world w(1);
  w.register_repair();
  const neighbours others(w);
  auto plan = w.plan("find_or_construct in fresh memory", 97);
  const auto end_of_blocks = [&] {
    return static_cast<std::uint32_t>(w.mapped().header().directory_counts.end.load());
  };
  const std::uint32_t before = end_of_blocks();
  plan.setup = [&] { w.start_over(); };
  plan.victim = [&](agent&) {
    w.warm_up();
    section_begin();
    w.shared().find_or_construct<cell>(long_name, value);
    section_end();
  };
  std::size_t taken = 0;
  plan.after = [&](const kill_point&) {
    taken += end_of_blocks() != before;
    others.expect_intact(long_name);
    expect_whole_or_absent(w, long_name);
    others.expect_intact(long_name);
    const std::uint32_t end = end_of_blocks();
    EXPECT_GT(end, before);
    w.shared().find_or_construct<cell>("another", 7U);
    EXPECT_GT(end_of_blocks(), end) << "a block was lost, or used twice";
    EXPECT_EQ(*w.shared().find<cell>(long_name), cell(value));
    w.settle();
  };
  w.run(plan);
  EXPECT_GT(taken, 0U);
}

TEST(directory_step, killed_at_every_state_of_destroy) {
  OUTLIVE_NEEDS_TRACING();
  world w(1);
  w.register_repair();
  const neighbours others(w);
  auto plan = w.plan("destroy", 97);
  plan.setup = [&] {
    w.forget_the_dead();
    w.shared().find_or_construct<cell>(long_name, value);
  };
  std::size_t there = 0, absent = 0;
  plan.victim = [&](agent&) {
    w.warm_up();
    section_begin();
    w.shared().destroy<cell>(long_name);
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    const bool found = w.shared().find<cell>(long_name) != nullptr;
    ++(found ? there : absent);
    EXPECT_TRUE(!found || point.died);
    others.expect_intact(long_name);
    expect_whole_or_absent(w, long_name);
    others.expect_intact(long_name);
    w.settle();
  };
  w.run(plan);
  EXPECT_GT(there, 0U);
  EXPECT_GT(absent, 0U);
}

TEST(directory_step, killed_at_every_state_of_making_a_mutex_of_a_new_class) {
  OUTLIVE_NEEDS_TRACING();
  world w(1);
  w.register_repair();
  auto plan = w.plan("a mutex of a new lock class", 97);
  plan.setup = [&] { w.start_over(); };
  plan.victim = [&](agent&) {
    w.warm_up();
    section_begin();
    w.shared().find_or_construct<guarded_twins>("of a new class", "new class");
    section_end();
  };
  plan.after = [&](const kill_point& point) {
    guarded_twins* const found = w.shared().find<guarded_twins>("of a new class");
    EXPECT_TRUE(found != nullptr || point.died);
    auto& made = w.shared().find_or_construct<guarded_twins>("of a new class", "new class");
    EXPECT_TRUE(found == nullptr || found == &made);
    EXPECT_EQ(made.mutex().lock_class(), "new class");
    EXPECT_TRUE(made.try_lock());
    EXPECT_TRUE(on_owner_death<twins>(w.shared(), "new class", always_consistent));
    auto& more = w.shared().find_or_construct<guarded_twins>("of a newer class", "newer class");
    EXPECT_EQ(more.mutex().lock_class(), "newer class");
    EXPECT_EQ(made.mutex().lock_class(), "new class");
    w.settle();
  };
  w.run(plan);
}
