// Readers and writers of a shared mutex are killed: dead readers are in nobody's way, dead writers
// are owner deaths, and nobody reads half a change.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include <outlive/outlive.hpp>

#include "scenes/shared_scene.hpp"
#include "support/child.hpp"
#include "support/forbidden_call.hpp"

namespace outlive::testing {
namespace {

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

TEST_P(shared_mutex_kill_test, a_writer_that_has_downgraded_dies_as_a_reader) {
  for (int i = 0; i < 10; ++i) {
    all_.kill_one([this](agent& parent) {
      auto x = all_.value().lock();
      ++x->a;
      ++x->b;
      const auto y = x.downgrade();
      parent.tell("inside");
      parent.pause_forever();
    });
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
  const auto lines = recover(all_.seg());
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].mutex, &all_.value().mutex().writers());
  EXPECT_EQ(lines[0].outcome, recovery_outcome::repaired);
  all_.expect_usable(1);
}

// It has changed nothing: who comes next opens the gate, and repairs nothing, while the reader is
// still inside.
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

// A reader that waits for a writer is counted. Dead or stopped, it keeps no writer out.
TEST_P(shared_mutex_kill_test, a_reader_is_killed_while_it_waits_for_a_writer) {
  for (int i = 0; i < 5; ++i) {
    auto mine = all_.value().lock();
    child reader("reader", all_.reader());
    all_.until_a_reader_waits(reader.pid());
    reader.kill();
    reader.expect_killed();
    mine.unlock();
    EXPECT_EQ(all_.waiting_readers(), 1u);
    EXPECT_TRUE(all_.value().lock()->whole());
    EXPECT_EQ(all_.waiting_readers(), 0u);
  }
  all_.expect_usable(0);
}

TEST_P(shared_mutex_kill_test, a_reader_is_stopped_while_it_waits_for_a_writer) {
  auto mine = all_.value().lock();
  child reader("reader", all_.reader());
  all_.until_a_reader_waits(reader.pid());
  reader.kill(SIGSTOP);
  mine.unlock();
  EXPECT_TRUE(all_.value().lock()->whole());
  EXPECT_EQ(all_.waiting_readers(), 0u) << "each lock() would wait for it";
  reader.kill(SIGCONT);
  reader.wait_for("inside");
  EXPECT_EQ(all_.waiting_readers(), 0u);
  reader.kill();
  reader.expect_killed();
  all_.expect_usable(0);
}

// The record of a dead reader goes to another thread: its marks must not be that thread's.
TEST_P(shared_mutex_kill_test, marks_of_the_dead_do_not_come_to_life_again) {
  child bystander("bystander", [&](agent& parent) {
    parent.await("come");
    auto& other = all_.seg().find_or_construct<robust_mutex>("other", "other");
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

TEST_P(shared_mutex_kill_test, without_membarrier) {
  ASSERT_EQ(all_.seg().options().readers,
            GetParam() == reader_marks::locked ? reader_marks::locked : reader_marks::membarrier)
      << "this kernel has no membarrier";
  child forbidden("forbidden", [&](agent&) {
    forbid_call(SYS_membarrier, EPERM);
    EXPECT_EQ(segment::anonymous(small(reader_marks::automatic)).options().readers,
              reader_marks::locked);
    try {
      static_cast<void>(segment::anonymous(small(reader_marks::membarrier)));
      ADD_FAILURE() << "a segment was made that needs membarrier";
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code(), errc::no_membarrier) << error.what();
    }
    const std::error_code expected = GetParam() == reader_marks::locked
                                         ? std::error_code()
                                         : make_error_code(errc::no_membarrier);
    std::error_code error;
    const auto write = all_.value().lock(error);
    EXPECT_EQ(error, expected);
  });
  forbidden.expect_exit(0);
  // The parent had joined before the fork, so that the child's marks reach writers. One that starts
  // anew has not.
  all_.expect_usable(0);
}

// The child has its parent's reader on its stack, and would uncount it a second time (U5).
TEST(shared_mutex_fork_kill_test,
     a_child_forked_in_the_repair_of_a_waiting_reader_uncounts_nobody) {
  auto seg = segment::anonymous(small_segment());
  auto& mutex = seg.find_or_construct<robust_shared_mutex>("mutex", "class");
  auto& counted = reinterpret_cast<detail::shared_lock_bytes&>(mutex).waiting_readers;
  child writer("writer", [&](agent& parent) {
    mutex.lock();
    parent.tell("inside");
    parent.pause_forever();
  });
  writer.wait_for("inside");
  child reader("reader", [&](agent&) {
    const pid_t self = getpid();
    int status = -1;
    const auto repair = on_owner_death(seg, "class", [&](const owner_death&) {
      const pid_t forked = fork();
      if (forked > 0) {
        EXPECT_EQ(waitpid(forked, &status, 0), forked);
        EXPECT_EQ(counted.load(), 1u) << "the forked child has uncounted its parent";
      }
      return repaired;
    });
    std::error_code error;
    mutex.lock_shared(error);
    if (getpid() != self) _exit(error == errc::forked_in_repair ? 0 : 1);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(error, std::error_code());
    EXPECT_EQ(counted.load(), 0u);
    mutex.unlock_shared();
  });
  ASSERT_TRUE(within(default_timeout(), [&] { return counted.load() == 1; }));
  writer.kill();
  writer.expect_killed();
  reader.expect_exit();
}

INSTANTIATE_TEST_SUITE_P(form, shared_mutex_kill_test,
                         ::testing::Values(reader_marks::automatic, reader_marks::locked),
                         name_of_form);

}  // namespace
}  // namespace outlive::testing
