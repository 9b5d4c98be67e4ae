// segment_view tells who has what, and stores nothing.
#include <outlive/segment_view.hpp>

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include <outlive/guarded.hpp>
#include <outlive/note.hpp>
#include <outlive/recover.hpp>
#include <outlive/repair.hpp>

#include "support/child.hpp"
#include "sys/process.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

struct pair_of_longs {
  long a = 0;
  long b = 0;
};
struct many {
  char before[100];
  guarded<pair_of_longs> locks[3]{guarded<pair_of_longs>("account"),
                                  guarded<pair_of_longs>("account"),
                                  guarded<pair_of_longs>("account")};
};

}  // namespace
}  // namespace outlive::testing

template <>
inline constexpr bool outlive::shareable<outlive::testing::many> = true;

namespace outlive::testing {
namespace {

class segment_view_test : public ::testing::Test {
 protected:
  test_name name_;
  segment seg_ = segment::create(name_, few_of_everything());
};

const viewed_thread* find_thread(const std::vector<viewed_thread>& in, pid_t tid) {
  for (const viewed_thread& each : in)
    if (each.tid == tid) return &each;
  return nullptr;
}

TEST_F(segment_view_test, looking_at_everything_changes_no_byte_and_registers_nobody) {
  auto& x = seg_.find_or_construct<guarded<pair_of_longs>>("pair", "account");
  auto hold = x.lock();
  const auto before = segment_file(name_.path()).read();
  {
    const segment_view view = segment_view::open(name_);
    EXPECT_EQ(view.name(), std::string(name_));
    EXPECT_EQ(view.size_bytes(), before.size());
    EXPECT_EQ(view.options().threads, 2U);
    EXPECT_TRUE(view.has_name());
    EXPECT_EQ(view.owner(), geteuid());
    EXPECT_EQ(view.object_count(), 1U);
    EXPECT_EQ(view.death_count(), 0U);
    EXPECT_EQ(view.threads().size(), 1U);
    EXPECT_EQ(view.participants().size(), 1U);
    EXPECT_EQ(view.locks().size(), 1U);
    EXPECT_TRUE(view.deaths().empty());
  }
  EXPECT_EQ(segment_file(name_.path()).read(), before);
}

TEST_F(segment_view_test, a_process_without_a_segment_sees_the_holder_and_what_it_says) {
  auto& x = seg_.find_or_construct<guarded<pair_of_longs>>("pair", "account");
  auto hold = x.lock();
  note(seg_, 4711);
  const segment_view view = segment_view::open(name_);
  const auto threads = view.threads();
  ASSERT_EQ(threads.size(), 1U);
  const viewed_thread& me = threads[0];
  EXPECT_EQ(me.pid, getpid());
  EXPECT_EQ(me.tid, detail::current_tid());
  EXPECT_EQ(me.start_time, detail::start_time_of(me.tid));
  EXPECT_TRUE(me.alive);
  EXPECT_EQ(me.acquisitions, 1U);
  EXPECT_EQ(me.waits, 0U);
  EXPECT_EQ(me.note, 4711U);
  EXPECT_EQ(me.command_name, std::string(detail::current_command_name().data()));
  EXPECT_EQ(me.thread_name, std::string(detail::current_thread_name().data()));
  EXPECT_FALSE(me.waiting_for);
  ASSERT_EQ(me.in_hand.size(), 1U);
  EXPECT_TRUE(me.in_hand[0].held);
  EXPECT_NE(me.in_hand[0].acquired_at.module.find("segment_view_test"), std::string::npos)
      << me.in_hand[0].acquired_at.module;
  EXPECT_NE(me.in_hand[0].acquired_at.offset, 0U);

  const auto locks = view.locks();
  ASSERT_EQ(locks.size(), 1U);
  EXPECT_EQ(locks[0].offset, me.in_hand[0].mutex_offset);
  EXPECT_EQ(locks[0].object, "pair");
  EXPECT_EQ(locks[0].lock_class, "account");
  EXPECT_EQ(locks[0].condition, viewed_condition::consistent);
  EXPECT_EQ(locks[0].holder, me.record);
  EXPECT_EQ(locks[0].holder_tid, me.tid);
  EXPECT_FALSE(locks[0].holder_died);

  const auto processes = view.participants();
  ASSERT_EQ(processes.size(), 1U);
  EXPECT_EQ(processes[0].pid, getpid());
  EXPECT_TRUE(processes[0].alive);
  EXPECT_GT(processes[0].modules, 1U);
}

TEST_F(segment_view_test, locks_inside_of_an_object_are_told_by_their_place_in_it) {
  auto& x = seg_.find_or_construct<many>("many");
  auto hold = x.locks[1].lock();
  const segment_view view(seg_);
  const auto locks = view.locks();
  ASSERT_EQ(locks.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(locks[i].object, "many");
    EXPECT_EQ(locks[i].offset_in_object,
              static_cast<std::uint64_t>(reinterpret_cast<char*>(&x.locks[i]) -
                                         reinterpret_cast<char*>(&x)));
    EXPECT_EQ(locks[i].holder.has_value(), i == 1);
    const viewed_lock one = view.lock_at(locks[i].offset);
    EXPECT_EQ(one.object, "many");
    EXPECT_EQ(one.offset_in_object, locks[i].offset_in_object);
    EXPECT_EQ(one.condition, viewed_condition::consistent);
  }
}

TEST_F(segment_view_test, no_lock_at_an_offset_is_damaged) {
  const segment_view view(seg_);
  for (const std::uint64_t offset :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{seg_.size_bytes()}, ~std::uint64_t{0},
        ~std::uint64_t{63}}) {
    EXPECT_EQ(view.lock_at(offset).condition, viewed_condition::damaged) << offset;
    EXPECT_EQ(view.lock_at(offset).object, "unknown");
  }
}

TEST_F(segment_view_test, a_waiter_is_told_with_what_it_waits_for) {
  auto& x = seg_.find_or_construct<guarded<pair_of_longs>>("pair", "account");
  auto hold = x.lock();
  child waiter("waiter", [&](agent& parent) {
    parent.tell("begins");
    auto mine = x.lock();
    parent.tell("has it");
  });
  waiter.wait_for("begins");
  const segment_view view = segment_view::open(name_);
  const viewed_thread* seen = nullptr;
  std::vector<viewed_thread> threads;
  ASSERT_TRUE(within(default_timeout(), [&] {
    threads = view.threads();
    seen = find_thread(threads, waiter.pid());
    return seen != nullptr && seen->waiting_for;
  }));
  const auto locks = view.locks();
  ASSERT_EQ(locks.size(), 1U);
  EXPECT_EQ(seen->waiting_for, locks[0].offset);
  EXPECT_EQ(seen->waits, 1U);
  ASSERT_EQ(seen->in_hand.size(), 1U);
  EXPECT_FALSE(seen->in_hand[0].held);
  hold.unlock();
  waiter.wait_for("has it");
  waiter.expect_exit(0);
}

TEST_F(segment_view_test, a_dead_holder_and_what_it_left_are_told_until_somebody_repairs_it) {
  auto& x = seg_.find_or_construct<guarded<pair_of_longs>>("pair", "account");
  child victim("victim", [&](agent&) {
    auto hold = x.lock();
    raise(SIGKILL);
  });
  const pid_t pid = victim.pid();
  EXPECT_TRUE(victim.wait().killed_by(SIGKILL));
  const segment_view view = segment_view::open(name_);
  const auto threads = view.threads();
  const viewed_thread* const dead = find_thread(threads, pid);
  ASSERT_NE(dead, nullptr);
  EXPECT_FALSE(dead->alive);
  ASSERT_EQ(dead->in_hand.size(), 1U);
  EXPECT_TRUE(dead->in_hand[0].held);
  EXPECT_FALSE(dead->waiting_for);
  auto locks = view.locks();
  ASSERT_EQ(locks.size(), 1U);
  EXPECT_TRUE(locks[0].holder_died);
  EXPECT_FALSE(locks[0].orphaned);
  EXPECT_EQ(locks[0].holder, dead->record);
  EXPECT_EQ(locks[0].condition, viewed_condition::consistent);

  (void)recover(seg_);
  locks = view.locks();
  EXPECT_EQ(locks[0].condition, viewed_condition::unrepaired);
  EXPECT_FALSE(locks[0].holder_died);
  EXPECT_EQ(view.death_count(), 1U);
  ASSERT_EQ(view.deaths().size(), 1U);
  EXPECT_EQ(view.deaths()[0].mutex_name, "pair");
  EXPECT_EQ(view.deaths()[0].owner.pid, pid);

  const auto repair = on_owner_death<pair_of_longs>(seg_, "account", always_consistent);
  (void)recover(seg_);
  EXPECT_EQ(view.locks()[0].condition, viewed_condition::consistent);
  EXPECT_EQ(find_thread(view.threads(), pid), nullptr);
}

TEST_F(segment_view_test, a_view_outlives_the_name) {
  seg_.find_or_construct<guarded<pair_of_longs>>("pair", "account");
  const segment_view view = segment_view::open(name_);
  segment::unlink(name_);
  EXPECT_FALSE(view.has_name());
  EXPECT_EQ(view.locks().size(), 1U);
}

TEST_F(segment_view_test, a_file_that_was_cut_is_refused) {
  const segment_view view = segment_view::open(name_);
  const segment_file file(name_.path());
  const auto whole = file.read();
  file.resize(whole.size() - 4096);
  expect_error(errc::damaged, {name_.quoted(), std::to_string(whole.size() - 4096)},
               [&] { (void)view.locks(); });
  expect_error(errc::damaged, {name_.quoted()}, [&] { (void)view.threads(); });
  file.resize(whole.size());
  file.write(whole);
}

TEST(segment_view_refusals, are_those_of_open) {
  const test_name name;
  expect_error(errc::invalid_name, {"a/b"}, [] { (void)segment_view::open("a/b"); });
  expect_error(errc::not_found, {name.quoted()}, [&] { (void)segment_view::open(name); });
  const segment made = segment::create(name, few_of_everything());
  const segment_file file(name.path());
  auto constants = file.constants();
  constants.version = 3;
  file.write(constants);
  expect_error(errc::version_mismatch, {name.quoted(), "version 3"},
               [&] { (void)segment_view::open(name); });
}

}  // namespace
}  // namespace outlive::testing
