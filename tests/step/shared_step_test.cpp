// Killed after every instruction of what readers and writers of a shared mutex do, in both forms of
// marks: afterwards both ways in are free, no repair is missing, and none is made for a writer that
// had not come inside.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <span>

#include "format/lock_state.hpp"
#include "format/object_layout.hpp"
#include "step/world.hpp"
#include "support/child.hpp"
#include "support/leaks.hpp"

using namespace outlive;
using namespace outlive::testing;
using namespace std::chrono_literals;

namespace {

using shared_twins = guarded<twins, robust_shared_mutex>;

segment_options small(reader_marks form) {
  segment_options options = world::small();
  options.readers = form;
  return options;
}

class shared_step : public ::testing::TestWithParam<reader_marks> {
 protected:
  void SetUp() override {
    if (auto why = tracing_unavailable()) GTEST_SKIP() << *why;
    plan_.after = [this](const kill_point&) { expect_usable(); };
  }

  detail::shared_lock_bytes& bytes() {
    return reinterpret_cast<detail::shared_lock_bytes&>(value_);
  }
  /// Whether the state names somebody: the next one must repair then, and must not otherwise.
  bool is_repair_due() {
    const detail::lock_state state(bytes().writers.state.load());
    return state.holder() || state.condition() != detail::lock_condition::consistent;
  }
  void expect_usable() {
    const bool due = is_repair_due();
    EXPECT_TRUE(!due || bytes().gate.load() != detail::gate_open)
        << "the gate is open, and the value is not consistent";
    EXPECT_TRUE(due || value_.unguarded().a == value_.unguarded().b) << "a missed repair";
    const auto before = repairs_.load();
    if (write_first_) {
      ASSERT_TRUE(value_.mutex().try_lock_for(default_timeout())) << "a writer is kept out";
      value_.mutex().unlock();
    }
    ASSERT_TRUE(value_.mutex().try_lock_shared_for(default_timeout())) << "a reader is kept out";
    EXPECT_EQ(value_.unguarded().a, value_.unguarded().b);
    EXPECT_EQ(bytes().gate.load(), detail::gate_open);
    value_.mutex().unlock_shared();
    ASSERT_TRUE(value_.mutex().try_lock_for(default_timeout())) << "a writer is kept out";
    value_.mutex().unlock();
    EXPECT_EQ(bytes().waiting_readers.load(), 0u) << "a reader stays counted";
    EXPECT_EQ(repairs_.load() - before, due ? 1u : 0u) << "repairs";
    EXPECT_EQ(seg_.threads_in_use(), 1u + living_) << "a thread record is lost";
  }
  void run(const char* name, std::size_t least) {
    plan_.name = name;
    if (HasFailure() || IsSkipped()) return;
    const sweep_result result = sweep(plan_);
    EXPECT_GT(result.deaths, least) << result.describe();
    std::printf("| %s, %s marks | %zu |\n", name,
                GetParam() == reader_marks::locked ? "locked" : "plain", result.deaths);
  }
  /// In the victim: its record is claimed, its process has joined.
  void warm_up() {
    value_.mutex().lock_shared();
    value_.mutex().unlock_shared();
  }
  void write() {
    value_.mutex().lock();
    change(value_.unguarded());
    value_.mutex().unlock();
  }
  void leave_a_dead_writer() {
    child writer("writer", [this](agent&) {
      value_.mutex().lock();
      value_.unguarded().a += 1;
      _exit(0);
    });
    writer.expect_exit(0);
  }

  /// As a writer leaves it that dies while it waits for readers.
  void leave_a_closed_gate() { bytes().gate.store(detail::gate_closed); }
  /// In the victim: its record is claimed, its process has joined, and the mutex was not touched.
  void warm_up_elsewhere() {
    other_.lock_shared();
    other_.unlock_shared();
  }

  segment seg_ = segment::anonymous(small(GetParam()));
  robust_shared_mutex& other_ = seg_.find_or_construct<robust_shared_mutex>("other", "other");
  shared_twins& value_ = seg_.find_or_construct<shared_twins>("twins", "twins");
  shared_counter repairs_;
  repair_registration repair_ = on_owner_death<twins, robust_shared_mutex>(
      seg_, "twins", [this](twins& x, const owner_death&) {
        repairs_.add();
        x.b = x.a;
        return repaired;
      });
  bool write_first_ = false;
  unsigned living_ = 0;
  sweep_plan plan_;
};

}  // namespace

TEST_P(shared_step, reading) {
  plan_.victim = [&](agent&) {
    warm_up();
    section_begin();
    value_.mutex().lock_shared();
    value_.mutex().unlock_shared();
    section_end();
  };
  run("lock_shared, unlock_shared", 40);
}

TEST_P(shared_step, reading_twice_at_a_time) {
  plan_.victim = [&](agent&) {
    warm_up();
    section_begin();
    value_.mutex().lock_shared();
    value_.mutex().lock_shared();
    value_.mutex().unlock_shared();
    value_.mutex().unlock_shared();
    section_end();
  };
  run("lock_shared twice, unlock_shared twice", 200);
}

// The rest of a claim is first_use_step_test's and claim_step_test's: here the marks count, and the
// mutex.
TEST_P(shared_step, the_first_reading_of_a_thread) {
  const detail::mapping& mapped = *detail::segment_access::mapping_of(seg_);
  plan_.watched = {std::as_bytes(std::span(&mapped.mark_slots_of(0), 2 * mapped.record_count())),
                   std::as_bytes(std::span(&value_, 1))};
  plan_.stride = 1'000;
  plan_.victim = [&](agent&) {
    section_begin();
    value_.mutex().lock_shared();
    value_.mutex().unlock_shared();
    section_end();
  };
  run("a thread's first lock_shared", 20);
}

TEST_P(shared_step, writing) {
  plan_.victim = [&](agent&) {
    warm_up();
    section_begin();
    write();
    section_end();
  };
  run("lock, a change, unlock", 200);
}

TEST_P(shared_step, downgrading) {
  plan_.victim = [&](agent&) {
    warm_up();
    section_begin();
    value_.mutex().lock();
    change(value_.unguarded());
    value_.mutex().downgrade();
    value_.mutex().unlock_shared();
    section_end();
  };
  run("lock, a change, downgrade, unlock_shared", 200);
}

// At each instruction another writer tries to come in between.
TEST_P(shared_step, downgrading_lets_no_writer_in) {
  plan_.victim = [&](agent&) {
    warm_up();
    value_.mutex().lock();
    section_begin();
    value_.mutex().downgrade();
    section_end();
    value_.mutex().unlock_shared();
  };
  plan_.meanwhile = [&](const kill_point&) {
    const bool got_in = value_.mutex().try_lock();
    EXPECT_FALSE(got_in) << "beside a reader";
    if (got_in) value_.mutex().unlock();
  };
  plan_.name = "downgrade while another tries to write";
  const sweep_result result = sweep(plan_);
  EXPECT_GT(result.preempted, 50u) << result.describe();
}

TEST_P(shared_step, writing_and_the_heir_writes) {
  write_first_ = true;
  plan_.victim = [&](agent&) {
    warm_up();
    section_begin();
    write();
    section_end();
  };
  run("lock, a change, unlock; the heir is a writer", 200);
}

TEST_P(shared_step, trying_to_write) {
  plan_.victim = [&](agent&) {
    warm_up();
    section_begin();
    if (value_.mutex().try_lock()) {
      change(value_.unguarded());
      value_.mutex().unlock();
    }
    section_end();
  };
  run("try_lock, a change, unlock", 200);
}

TEST_P(shared_step, a_writer_that_gives_up_beside_a_reader) {
  std::unique_ptr<child> reader;
  plan_.setup = [&] {
    reader = std::make_unique<child>("reader", [this](agent& parent) {
      value_.mutex().lock_shared();
      parent.tell("inside");
      parent.pause_forever();
    });
    reader->wait_for("inside");
  };
  plan_.victim = [&](agent&) {
    warm_up();
    section_begin();
    if (value_.mutex().try_lock_for(2ms)) _exit(3);
    if (value_.mutex().try_lock()) _exit(3);
    section_end();
  };
  plan_.after = [&](const kill_point&) {
    // Readers come in while that one is inside, whatever the writer has left.
    EXPECT_TRUE(value_.mutex().try_lock_shared_for(default_timeout()));
    value_.mutex().unlock_shared();
    EXPECT_FALSE(value_.mutex().try_lock());
    reader->kill();
    reader->expect_killed();
    expect_usable();
  };
  plan_.watched = {
      std::as_bytes(std::span(static_cast<const char*>(seg_.base()), seg_.size_bytes()))};
  plan_.stride = 20;
  run("try_lock_for and try_lock beside a reader", 50);
}

TEST_P(shared_step, a_reader_that_leaves_while_a_writer_sleeps) {
  std::unique_ptr<child> writer;
  shared_value<std::uint32_t> inside;
  plan_.setup = [&] {
    inside.store(0);
    writer = std::make_unique<child>("writer", [&, this](agent&) {
      EXPECT_TRUE(inside.wait_equal(1));
      write();
    });
  };
  plan_.victim = [&](agent&) {
    value_.mutex().lock_shared();
    inside.store(1);
    if (!within(default_timeout(), [&] { return bytes().gate.load() == detail::gate_awaited; }))
      _exit(3);
    section_begin();
    value_.mutex().unlock_shared();
    section_end();
  };
  plan_.after = [&](const kill_point&) {
    writer->expect_exit(0);
    expect_usable();
  };
  run("unlock_shared while a writer sleeps", 20);
}

TEST_P(shared_step, a_reader_that_is_turned_away) {
  plan_.setup = [&] { leave_a_closed_gate(); };
  plan_.victim = [&](agent&) {
    warm_up_elsewhere();
    section_begin();
    value_.mutex().lock_shared();
    value_.mutex().unlock_shared();
    section_end();
  };
  run("lock_shared at a gate that a dead writer left closed", 100);
}

TEST_P(shared_step, a_reader_that_waits_for_a_writer) {
  std::unique_ptr<child> writer;
  shared_value<std::uint32_t> over;
  plan_.setup = [&] {
    over.store(0);
    writer = std::make_unique<child>("writer", [&, this](agent& parent) {
      value_.mutex().lock();
      parent.tell("inside");
      EXPECT_TRUE(within(default_timeout(),
                         [&] { return over.load() != 0 || bytes().waiting_readers.load() != 0; }));
      change(value_.unguarded());
      value_.mutex().unlock();
    });
    writer->wait_for("inside");
  };
  plan_.victim = [&](agent&) {
    warm_up_elsewhere();
    section_begin();
    value_.mutex().lock_shared();
    value_.mutex().unlock_shared();
    section_end();
  };
  plan_.after = [&](const kill_point&) {
    over.store(1);
    writer->expect_exit(0);
    expect_usable();
  };
  plan_.watched = {
      std::as_bytes(std::span(static_cast<const char*>(seg_.base()), seg_.size_bytes()))};
  plan_.stride = 20;
  run("lock_shared while a writer is inside", 50);
}

// The count is what a killed reader has left.
TEST_P(shared_step, a_writer_that_lets_readers_go_first) {
  plan_.setup = [&] { bytes().waiting_readers.store(2); };
  plan_.victim = [&](agent&) {
    warm_up_elsewhere();
    section_begin();
    write();
    section_end();
  };
  plan_.watched = {
      std::as_bytes(std::span(static_cast<const char*>(seg_.base()), seg_.size_bytes()))};
  plan_.stride = 20;
  run("lock while readers are counted, unlock", 50);
}

TEST_P(shared_step, a_reader_is_the_heir) {
  plan_.setup = [&] { leave_a_dead_writer(); };
  plan_.victim = [&](agent&) {
    warm_up_elsewhere();
    section_begin();
    value_.mutex().lock_shared();
    value_.mutex().unlock_shared();
    section_end();
  };
  plan_.watched = {
      std::as_bytes(std::span(static_cast<const char*>(seg_.base()), seg_.size_bytes()))};
  plan_.stride = 20;
  run("lock_shared as the heir", 100);
}

TEST_P(shared_step, a_writer_is_the_heir) {
  plan_.setup = [&] { leave_a_dead_writer(); };
  plan_.victim = [&](agent&) {
    warm_up_elsewhere();
    section_begin();
    write();
    section_end();
  };
  plan_.watched = {
      std::as_bytes(std::span(static_cast<const char*>(seg_.base()), seg_.size_bytes()))};
  plan_.stride = 20;
  run("lock as the heir", 100);
}

INSTANTIATE_TEST_SUITE_P(form, shared_step,
                         ::testing::Values(reader_marks::automatic, reader_marks::locked),
                         [](const auto& form) {
                           return form.param == reader_marks::locked ? "locked" : "automatic";
                         });
