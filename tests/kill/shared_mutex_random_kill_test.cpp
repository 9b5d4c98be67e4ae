// Readers and writers of shared mutexes under random kills, and readers whose death the kernel did
// not mark.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <random>
#include <string>

#include <outlive/outlive.hpp>

#include "scenes/companion_soak.hpp"
#include "scenes/shared_scene.hpp"
#include "support/child.hpp"
#include "support/orphans.hpp"

namespace outlive::testing {
namespace {

class shared_mutex_random_kill_test : public ::testing::TestWithParam<reader_marks> {
 protected:
  shared_scene all_{GetParam()};
};

TEST_P(shared_mutex_random_kill_test, killed_at_random_nobody_reads_half_a_change) {
  shared_both& second = all_.seg().find_or_construct<shared_both>("second", "both");
  shared_counter reads, writes, torn;
  soak_plan plan = soak_of_a_companion();
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
          if (x->a % 2 == 0) {
            const auto y = x.downgrade();
            if (!y->whole()) torn.add();
          }
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
  plan.progress = [&] { return reads.load() + writes.load(); };
  plan.standing = [&] {
    return std::to_string(all_.readers()) + " readers, the gate is " + std::to_string(all_.gate());
  };
  plan.aim = [&](unsigned) {
    return all_.value().mutex().writers().lock_class() == "both" &&
           all_.gate() != detail::gate_open;
  };
  const soak_result result = soak(plan);
  EXPECT_EQ(torn.load(), 0u) << result.describe();
  EXPECT_GT(reads.load(), 100u);
  EXPECT_GT(writes.load(), 100u);
  EXPECT_GT(all_.repairs(), 0u) << result.describe();
  EXPECT_TRUE(second.lock()->whole());
  all_.expect_usable(all_.repairs());
}

INSTANTIATE_TEST_SUITE_P(form, shared_mutex_random_kill_test,
                         ::testing::Values(reader_marks::automatic, reader_marks::locked),
                         name_of_form);

class orphaned_reader_kill_test : public ::testing::TestWithParam<orphan_kind> {
 protected:
  void SetUp() override {
    if (const auto why = orphan_unavailable(GetParam())) GTEST_SKIP() << *why;
  }
  shared_scene all_{reader_marks::automatic};
};

TEST_P(orphaned_reader_kill_test, does_not_keep_a_writer_out) {
  child reader("reader", [&](agent&) {
    die_leaving_orphans(GetParam(),
                        {.acquire = [&] { all_.value().mutex().lock_shared(); },
                         .region = {static_cast<std::byte*>(const_cast<void*>(all_.seg().base())),
                                    all_.seg().size_bytes()}});
  });
  expect_orphaned(reader, GetParam());
  ASSERT_EQ(all_.readers(), 1u) << "no orphan";
  ASSERT_TRUE(all_.value().try_lock_for(default_timeout()))
      << "the dead reader keeps the writer out";
  recover(all_.seg());
  EXPECT_EQ(all_.readers(), 0u);
}

// All but raw_fork: who was made by a raw clone has no robust list, and no record to mark itself
// in.
INSTANTIATE_TEST_SUITE_P(kind, orphaned_reader_kill_test,
                         ::testing::Values(orphan_kind::too_many_held, orphan_kind::unmapped,
                                           orphan_kind::exec_from_thread, orphan_kind::list_unset,
                                           orphan_kind::process_mrelease, orphan_kind::read_only,
                                           orphan_kind::damaged_list),
                         [](const auto& kind) { return name_of(kind.param); });

}  // namespace
}  // namespace outlive::testing
