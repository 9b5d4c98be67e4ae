// Readers and writers of a shared mutex are killed: dead readers are in nobody's way, dead writers are owner deaths, and nobody reads half a change.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <random>
#include <shared_mutex>
#include <string>
#include <vector>

#include <outlive/outlive.hpp>

#include "process/accounts.hpp"
#include "segment/mapping.hpp"
#include "segment/marks.hpp"
#include "segment/object_layout.hpp"
#include "segment/segment_access.hpp"
#include "support/child.hpp"
#include "support/leaks.hpp"
#include "support/orphans.hpp"
#include "support/soak.hpp"

namespace outlive::testing {
namespace {

/// Invariant: a == b.
struct both {
  long a = 0;
  long b = 0;
  bool whole() const { return a == b; }
};
using shared_both = guarded<both, robust_shared_mutex>;

segment_options small(reader_marks form) {
  segment_options options = small_segment();
  options.readers = form;
  return options;
}

/// A shared mutex with a value, and who repairs it.
class shared_scene {
 public:
  explicit shared_scene(reader_marks form) : where_(segment::anonymous(small(form))) {
    static_cast<void>(value_.lock_shared());  // the test's own thread has its record
  }

  segment& where() { return where_; }
  shared_both& value() { return value_; }
  unsigned repairs() { return static_cast<unsigned>(repairs_.load()); }
  std::uint32_t readers() {
    const detail::mapping& bytes = *detail::segment_access::mapping_of(where_);
    return detail::count_readers(bytes, detail::mark_id(bytes.offset_of(&value_)));
  }
  std::uint32_t gate() { return reinterpret_cast<detail::shared_lock_bytes&>(value_).gate.load(); }

  child::body reader() {
    return [this](agent& parent) {
      const auto x = value_.lock_shared();
      parent.tell("inside");
      parent.pause_forever();
    };
  }
  child::body writer() {
    return [this](agent& parent) {
      auto x = value_.lock();
      ++x->a;
      parent.tell("inside");
      parent.pause_forever();
    };
  }
  /// A writer that leaves again.
  child::body visitor() {
    return [this](agent& parent) {
      parent.tell("comes");
      auto x = value_.lock();
      EXPECT_TRUE(x->whole());
    };
  }
  void kill_one(const child::body& body) {
    child victim("victim", body);
    victim.wait_for("inside");
    victim.kill();
    victim.expect_killed();
  }
  void until_a_writer_waits_for_readers() {
    ASSERT_TRUE(within(default_timeout(), [&] { return gate() == detail::gate_awaited; })) << "the gate is " << gate();
  }
  /// Both ways in are free, to a process of its own, too.
  void expect_usable(unsigned expected_repairs) {
    child other("other", [this](agent&) {
      EXPECT_TRUE(value_.lock_shared()->whole());
      EXPECT_TRUE(value_.lock()->whole());
    });
    other.expect_exit(0);
    ASSERT_TRUE(value_.try_lock_shared_for(default_timeout())) << "the gate is " << gate();
    ASSERT_TRUE(value_.try_lock_for(default_timeout())) << readers() << " readers, the gate is " << gate();
    EXPECT_EQ(repairs(), expected_repairs);
    EXPECT_EQ(readers(), 0u);
    recover(where_);
    EXPECT_EQ(where_.threads_in_use(), 1u);
  }

 private:
  segment where_;
  shared_counter repairs_;
  shared_both& value_ = where_.find_or_construct<shared_both>("both", "both");
  repair_registration repair_ = on_owner_death<both, robust_shared_mutex>(where_, "both", [this](both& x, const owner_death&) {
    repairs_.add();
    x.b = x.a;
    return repaired;
  });
};

class shared_mutex_kill_test : public ::testing::TestWithParam<reader_marks> {
 protected:
  shared_scene all_{GetParam()};
};

TEST_P(shared_mutex_kill_test, a_dead_reader_is_in_nobodys_way) {
  for (int i = 0; i < 10; ++i) all_.kill_one(all_.reader());
  all_.expect_usable(0);
}

TEST_P(shared_mutex_kill_test, a_writer_gets_in_when_the_reader_is_killed_for_which_it_waits) {
  for (int i = 0; i < 10; ++i) {
    child reader("reader", all_.reader());
    reader.wait_for("inside");
    child writer("writer", all_.visitor());
    all_.until_a_writer_waits_for_readers();
    reader.kill();
    reader.expect_killed();
    writer.expect_exit(0);
  }
  all_.expect_usable(0);
}

TEST_P(shared_mutex_kill_test, a_dead_writers_heir_is_a_reader) {
  all_.kill_one(all_.writer());
  EXPECT_TRUE(all_.value().lock_shared()->whole());
  EXPECT_EQ(all_.repairs(), 1u);
  all_.expect_usable(1);
}

TEST_P(shared_mutex_kill_test, a_dead_writers_heir_is_a_writer) {
  all_.kill_one(all_.writer());
  {
    auto x = all_.value().lock();
    EXPECT_TRUE(x.recovered());
    EXPECT_TRUE(x->whole());
  }
  all_.expect_usable(1);
}

TEST_P(shared_mutex_kill_test, a_dead_writers_heir_is_recover) {
  all_.kill_one(all_.writer());
  const auto lines = recover(all_.where());
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].mutex, &all_.value().mutex().writers());
  EXPECT_EQ(lines[0].outcome, recovery_outcome::repaired);
  all_.expect_usable(1);
}

// It has changed nothing: who comes next opens the gate, and repairs nothing, while the reader is still inside.
TEST_P(shared_mutex_kill_test, a_writer_that_is_killed_while_it_waits_for_readers) {
  child reader("reader", all_.reader());
  reader.wait_for("inside");
  {
    child writer("writer", all_.visitor());
    all_.until_a_writer_waits_for_readers();
    writer.kill();
    writer.expect_killed();
  }
  EXPECT_NE(all_.gate(), detail::gate_open);
  EXPECT_TRUE(all_.value().lock_shared()->whole());
  EXPECT_EQ(all_.gate(), detail::gate_open);
  EXPECT_FALSE(all_.value().try_lock());
  reader.kill();
  reader.expect_killed();
  all_.expect_usable(0);
}

TEST_P(shared_mutex_kill_test, an_heir_of_that_writer_waits_for_the_reader_too) {
  child reader("reader", [&](agent& parent) {
    {
      const auto x = all_.value().lock_shared();
      parent.tell("inside");
      parent.await("leave");
      EXPECT_TRUE(x->whole());
    }
    parent.pause_forever();
  });
  reader.wait_for("inside");
  {
    child writer("writer", all_.visitor());
    all_.until_a_writer_waits_for_readers();
    writer.kill();
    writer.expect_killed();
  }
  child heir("heir", all_.writer());
  all_.until_a_writer_waits_for_readers();
  reader.tell("leave");
  heir.wait_for("inside");
  heir.kill();
  heir.expect_killed();
  reader.kill();
  reader.expect_killed();
  all_.expect_usable(1);
}

// The record of a dead reader goes to another thread: its marks must not be that thread's.
TEST_P(shared_mutex_kill_test, marks_of_the_dead_do_not_come_to_life_again) {
  child bystander("bystander", [&](agent& parent) {
    parent.await("come");
    auto& other = all_.where().find_or_construct<robust_mutex>("other", "other");
    other.lock();  // it claims the first free record: the dead reader's
    other.unlock();
    parent.tell("there");
    parent.pause_forever();
  });
  all_.kill_one([&](agent& parent) {
    all_.value().mutex().lock_shared();
    all_.value().mutex().lock_shared();
    parent.tell("inside");
    parent.pause_forever();
  });
  bystander.tell("come");
  bystander.wait_for("there");
  EXPECT_EQ(all_.readers(), 0u);
  EXPECT_TRUE(all_.value().try_lock());
  bystander.kill();
  bystander.expect_killed();
  all_.expect_usable(0);
}

TEST_P(shared_mutex_kill_test, a_forked_child_holds_nothing) {
  auto mine = all_.value().lock_shared();
  child forked("forked", [&](agent&) {
    EXPECT_THROW(mine.unlock(), std::system_error);
    EXPECT_FALSE(all_.value().try_lock()) << "the parent reads";
    EXPECT_TRUE(all_.value().lock_shared()->whole());
  });
  forked.expect_exit(0);
  EXPECT_EQ(all_.readers(), 1u);
  mine.unlock();
  all_.expect_usable(0);
}

/// membarrier() fails from now on, in this process.
void forbid_membarrier() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(EPERM)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(code), code};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST_P(shared_mutex_kill_test, without_membarrier) {
  ASSERT_EQ(all_.where().options().readers, GetParam() == reader_marks::locked ? reader_marks::locked : reader_marks::membarrier)
      << "this kernel has no membarrier";
  child forbidden("forbidden", [&](agent& parent) {
    forbid_membarrier();
    if (parent.failed()) return;
    EXPECT_EQ(segment::anonymous(small(reader_marks::automatic)).options().readers, reader_marks::locked);
    try {
      static_cast<void>(segment::anonymous(small(reader_marks::membarrier)));
      ADD_FAILURE() << "a segment was made that needs membarrier";
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code(), errc::no_membarrier) << error.what();
    }
    const std::error_code expected = GetParam() == reader_marks::locked ? std::error_code() : make_error_code(errc::no_membarrier);
    std::error_code error;
    const auto write = all_.value().lock(error);
    EXPECT_EQ(error, expected);
  });
  forbidden.expect_exit(0);
  // The parent had joined before the fork, so that the child's marks reach writers. One that starts anew has not.
  all_.expect_usable(0);
}

INSTANTIATE_TEST_SUITE_P(form, shared_mutex_kill_test, ::testing::Values(reader_marks::automatic, reader_marks::locked),
                         [](const auto& form) { return form.param == reader_marks::locked ? "locked" : "automatic"; });

// ---- readers whose death the kernel did not mark -----------------------------------------------------------------------

class orphaned_reader_kill_test : public ::testing::TestWithParam<orphan_kind> {
 protected:
  void SetUp() override {
    if (const auto why = orphan_unavailable(GetParam())) GTEST_SKIP() << *why;
  }
  shared_scene all_{reader_marks::automatic};
};

TEST_P(orphaned_reader_kill_test, does_not_keep_a_writer_out) {
  child reader("reader", [&](agent&) {
    die_leaving_orphans(GetParam(), {.acquire = [&] { all_.value().mutex().lock_shared(); },
                                     .region = {static_cast<std::byte*>(const_cast<void*>(all_.where().base())), all_.where().size_bytes()}});
  });
  expect_orphaned(reader, GetParam());
  ASSERT_EQ(all_.readers(), 1u) << "no orphan";
  ASSERT_TRUE(all_.value().try_lock_for(default_timeout())) << "the dead reader keeps the writer out";
  recover(all_.where());
  EXPECT_EQ(all_.readers(), 0u);
}

// All but raw_fork: who was made by a raw clone has no robust list, and no record to mark itself in.
INSTANTIATE_TEST_SUITE_P(kind, orphaned_reader_kill_test,
                         ::testing::Values(orphan_kind::too_many_held, orphan_kind::unmapped, orphan_kind::exec_from_thread, orphan_kind::list_unset,
                                           orphan_kind::process_mrelease, orphan_kind::read_only, orphan_kind::damaged_list),
                         [](const auto& kind) { return name_of(kind.param); });

// ---- at random ----------------------------------------------------------------------------------------------------------

TEST_P(shared_mutex_kill_test, killed_at_random_nobody_reads_half_a_change) {
  shared_both& second = all_.where().find_or_construct<shared_both>("second", "both");
  shared_counter reads, writes, torn;
  soak_plan plan;
  plan.workers = 8;
  plan.max_kills = 1'000;
  plan.duration = std::chrono::minutes(2);
  plan.work = [&](const soak_worker& me) {
    std::mt19937 random(static_cast<unsigned>(me.seed));
    while (!me.stopping()) {
      shared_both& one = random() % 2 == 0 ? all_.value() : second;
      shared_both& other = &one == &second ? all_.value() : second;
      switch (random() % 8) {
        case 0: {
          auto x = one.lock();
          if (!x->whole()) torn.add();
          ++x->a;
          std::atomic_signal_fence(std::memory_order_seq_cst);
          ++x->b;
          writes.add();
          break;
        }
        case 1: {
          if (auto x = one.try_lock_for(milliseconds(random() % 3))) {
            ++x->a;
            std::atomic_signal_fence(std::memory_order_seq_cst);
            ++x->b;
            writes.add();
          }
          break;
        }
        case 2: {
          const auto x = one.lock_shared();
          const auto y = other.try_lock_shared();
          if (!x->whole() || (y && !y->whole())) torn.add();
          break;
        }
        default: {
          const auto x = one.lock_shared();
          if (!x->whole()) torn.add();
          reads.add();
        }
      }
    }
  };
  plan.aim = [&](unsigned) { return all_.value().mutex().writers().lock_class() == "both" && all_.gate() != detail::gate_open; };
  const soak_result result = soak(plan);
  EXPECT_EQ(result.kills, plan.max_kills) << result.describe();
  EXPECT_EQ(torn.load(), 0u) << result.describe();
  EXPECT_GT(reads.load(), 100u);
  EXPECT_GT(writes.load(), 100u);
  EXPECT_GT(all_.repairs(), 0u) << result.describe();
  EXPECT_TRUE(second.lock()->whole());
  all_.expect_usable(all_.repairs());
}

}  // namespace
}  // namespace outlive::testing
