// The shared mutex where it is not used as it should be, and at the ends of threads, segments and
// room.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <new>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "records/held_entries.hpp"
#include "support/bounded.hpp"
#include "unit/robust_shared_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono_literals;

class robust_shared_mutex_misuse_test : public robust_shared_mutex_fixture {};

TEST_P(robust_shared_mutex_misuse_test, many_mutexes_whose_marks_share_a_slot) {
  std::vector<robust_shared_mutex*> same;
  for (int i = 0; same.size() < 18; ++i) {
    robust_shared_mutex& each = make("mutex " + std::to_string(i));
    if (id_of(each) % detail::mark_slots == id_of(mutex_) % detail::mark_slots)
      same.push_back(&each);
  }
  // One in the slot and 16 beside it.
  for (std::size_t i = 0; i < 17; ++i) same[i]->lock_shared();
  expect_error(
      errc::too_many_locks, [&] { same[17]->lock_shared(); }, "the 18th");
  try {
    same[17]->lock_shared();
  } catch (const std::system_error& error) {
    EXPECT_NE(std::string(error.what()).find("found 17 holds of shared mutexes"), std::string::npos)
        << error.what();
  }
  for (std::size_t i = 0; i < 17; ++i) EXPECT_EQ(readers_of(*same[i]), 1u) << i;
  EXPECT_EQ(readers_of(*same[17]), 0u);
  // In an order that has nothing to do with the places.
  for (std::size_t i = 0; i < 17; ++i) {
    const std::size_t at = i * 5 % 17;
    same[at]->unlock_shared();
    EXPECT_EQ(readers_of(*same[at]), 0u) << at;
  }
  for (auto* each : same) {
    ASSERT_TRUE(each->try_lock());
    each->unlock();
  }
}

// Whether a writer happens to be inside decides nothing but how long the call takes.
TEST_P(robust_shared_mutex_misuse_test, a_thread_that_holds_as_many_as_it_may_reads) {
  segment_options options = with(GetParam());
  options.max_held = 2;
  segment small = segment::anonymous(options);
  auto& shared = small.find_or_construct<robust_shared_mutex>("shared", "class");
  std::array<robust_mutex*, 3> others{};
  for (std::size_t i = 0; i < others.size(); ++i)
    others[i] = &small.find_or_construct<robust_mutex>("m" + std::to_string(i), "class");
  others[0]->lock();
  others[1]->lock();
  const auto expect_full = [&] {
    expect_error(
        errc::too_many_locks, [&] { others[2]->lock(); }, "a third mutex");
    expect_error(
        errc::too_many_locks, [&] { shared.lock(); }, "a third mutex, shared");
  };
  shared.lock_shared();
  shared.unlock_shared();
  expect_full();

  const detail::mapping& map = *detail::segment_access::mapping_of(small);
  const auto holders = [&] {
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < map.record_count(); ++i)
      count += detail::held_entries(map, i).names(map.offset_of(&shared)) ? 1U : 0U;
    return count;
  };
  std::atomic<bool> inside{false};
  std::atomic<bool> has_tried{false};  // who tries is among the holders, too, for a moment
  std::thread writer([&] {
    shared.lock();
    inside = true;
    EXPECT_TRUE(within(default_timeout(), [&] { return has_tried.load(); }));
    EXPECT_TRUE(within(default_timeout(), [&] { return holders() == 2; }))
        << "nobody sees that the reader waits";
    shared.unlock();
  });
  ASSERT_TRUE(within(default_timeout(), [&] { return inside.load(); }));
  EXPECT_FALSE(shared.try_lock_shared());
  has_tried = true;
  shared.lock_shared();
  writer.join();
  EXPECT_EQ(holders(), 0u);
  shared.unlock_shared();
  expect_full();
  others[0]->unlock();
  others[1]->unlock();
}

TEST_P(robust_shared_mutex_misuse_test, the_first_of_two_in_a_slot_goes_and_comes_again) {
  robust_shared_mutex* other = nullptr;
  for (int i = 0; other == nullptr; ++i) {
    robust_shared_mutex& each = make("mutex " + std::to_string(i));
    if (id_of(each) % detail::mark_slots == id_of(mutex_) % detail::mark_slots) other = &each;
  }
  for (int i = 0; i < 3; ++i) {
    mutex_.lock_shared();
    other->lock_shared();
    mutex_.unlock_shared();
    EXPECT_EQ(readers_of(mutex_), 0u);
    EXPECT_EQ(readers_of(*other), 1u);
    mutex_.lock_shared();
    EXPECT_EQ(readers_of(mutex_), 1u);
    EXPECT_FALSE(others_can_lock());
    other->unlock_shared();
    EXPECT_EQ(readers_of(mutex_), 1u);
    mutex_.unlock_shared();
    EXPECT_TRUE(others_can_lock());
  }
}

TEST_P(robust_shared_mutex_misuse_test, who_would_wait_for_itself_is_refused) {
  mutex_.lock();
  expect_error(
      errc::deadlock, [&] { mutex_.lock(); }, "lock() of the writer");
  expect_error(
      errc::deadlock, [&] { mutex_.lock_shared(); }, "lock_shared() of the writer");
  EXPECT_FALSE(mutex_.try_lock());
  EXPECT_FALSE(mutex_.try_lock_shared());
  mutex_.unlock();
  mutex_.lock_shared();
  expect_error(
      errc::deadlock, [&] { mutex_.lock(); }, "lock() of a reader");
  EXPECT_FALSE(mutex_.try_lock());
  expect_error(
      errc::deadlock, [&] { static_cast<void>(mutex_.try_lock_for(1h)); },
      "try_lock_for() of a reader");
  mutex_.unlock_shared();
  EXPECT_TRUE(others_can_lock());
}

TEST_P(robust_shared_mutex_misuse_test, what_is_not_held_is_not_given_back) {
  expect_error(
      errc::not_owner, [&] { mutex_.unlock(); }, "unlock()");
  expect_error(
      errc::not_owner, [&] { mutex_.unlock_shared(); }, "unlock_shared()");
  mutex_.lock_shared();
  expect_error(
      errc::not_owner, [&] { mutex_.unlock(); }, "unlock() of a reader");
  std::thread([&] {
    std::error_code error;
    mutex_.unlock_shared(error);
    EXPECT_EQ(error, errc::not_owner);
  }).join();
  EXPECT_FALSE(others_can_lock());
  mutex_.unlock_shared();
  mutex_.lock();
  expect_error(
      errc::not_owner, [&] { mutex_.unlock_shared(); }, "unlock_shared() of the writer");
  mutex_.unlock();
}

// Which records a writer looks at for readers is counted in the header: a stray write there must
// hide none.
TEST_P(robust_shared_mutex_misuse_test, a_damaged_count_of_records_hides_no_reader) {
  mutex_.lock_shared();
  detail::shared_u32& count = bytes().header().records_in_use;
  const std::uint32_t right = count.load();
  const auto expect_kept_out = [&](std::uint32_t word) {
    count.store(word);
    EXPECT_FALSE(others_can_lock()) << std::hex << word;
    EXPECT_EQ(readers_of(mutex_), 1u) << std::hex << word;
  };
  for (const std::uint32_t word : {0U, 1U, 0xffffffffU, 0xffff0000U ^ 1U}) expect_kept_out(word);
  for (unsigned bit = 0; bit < 32; ++bit) expect_kept_out(right ^ std::uint32_t{1} << bit);
  // Whoever claims a record leaves the damage to be seen.
  EXPECT_FALSE(detail::is_guarded_count(count.load()));
  count.store(right);
  mutex_.unlock_shared();
  EXPECT_TRUE(others_can_lock());
}

TEST_P(robust_shared_mutex_misuse_test, outside_of_a_segment_and_after_its_end) {
  alignas(64) std::array<std::byte, sizeof(robust_shared_mutex)> memory{};
  expect_error(
      errc::not_in_segment, [&] { ::new (memory.data()) robust_shared_mutex("shared"); },
      "the constructor");
  auto& stray = reinterpret_cast<robust_shared_mutex&>(memory);
  expect_error(
      errc::not_in_segment, [&] { stray.lock(); }, "lock()");
  expect_error(
      errc::not_in_segment, [&] { stray.lock_shared(); }, "lock_shared()");
  robust_shared_mutex& ended = make("ended");
  ASSERT_TRUE(seg_.destroy<robust_shared_mutex>("ended"));
  expect_error(
      errc::damaged, [&] { ended.lock(); }, "lock() after the end");
  expect_error(
      errc::damaged, [&] { ended.lock_shared(); }, "lock_shared() after the end");
}

TEST_P(robust_shared_mutex_misuse_test, one_that_is_held_is_not_destroyed) {
  std::thread([&] {
    mutex_.lock_shared();
    expect_error(
        errc::in_use, [&] { seg_.destroy<robust_shared_mutex>("mutex"); }, "held shared");
    mutex_.unlock_shared();
    mutex_.lock();
    expect_error(
        errc::in_use, [&] { seg_.destroy<robust_shared_mutex>("mutex"); }, "held alone");
    mutex_.unlock();
  }).join();
  EXPECT_TRUE(seg_.destroy<robust_shared_mutex>("mutex"));
}

TEST_P(robust_shared_mutex_misuse_test, a_thread_that_ends_while_it_reads) {
  std::thread([&] { mutex_.lock_shared(); }).join();
  mutex_.lock();
  mutex_.unlock();
  EXPECT_EQ(readers_of(mutex_), 0u);
}

TEST_P(robust_shared_mutex_misuse_test, held_shared_beyond_the_last_handle) {
  std::thread([&] {
    std::optional<segment> own(segment::anonymous(with(GetParam())));
    auto& mutex = own->find_or_construct<robust_shared_mutex>("mutex", "shared");
    mutex.lock_shared();
    own.reset();
    std::thread([&] { EXPECT_FALSE(mutex.try_lock()); }).join();
    mutex.unlock_shared();
  }).join();
}

// A reader becomes the heir, and the repair takes the room that it needs for its own mark.
TEST_P(robust_shared_mutex_misuse_test, a_repair_that_uses_up_the_room_for_marks) {
  std::vector<robust_shared_mutex*> same;
  for (int i = 0; same.size() < 17; ++i) {
    robust_shared_mutex& each = make("mutex " + std::to_string(i));
    if (id_of(each) % detail::mark_slots == id_of(mutex_) % detail::mark_slots)
      same.push_back(&each);
  }
  std::thread([&] { mutex_.lock(); }).join();
  const auto repair = on_owner_death(mutex_, [&](const owner_death&) {
    for (auto* each : same) EXPECT_TRUE(each->try_lock_shared());
    return repaired;
  });
  expect_error(
      errc::too_many_locks, [&] { mutex_.lock_shared(); }, "no room is left");
  EXPECT_EQ(readers_of(mutex_), 0u);
  EXPECT_TRUE(others_can_read());
  EXPECT_TRUE(others_can_lock());
  for (auto* each : same) each->unlock_shared();
}

TEST_P(robust_shared_mutex_misuse_test, in_a_repair_only_tried) {
  auto& broken = seg_.find_or_construct<robust_mutex>("broken", "broken");
  std::thread([&] { broken.lock(); }).join();
  bool tried = false;
  const auto repair = on_owner_death(seg_, "broken", [&](const owner_death&) {
    expect_error(
        errc::in_repair, [&] { mutex_.lock(); }, "lock()");
    expect_error(
        errc::in_repair, [&] { mutex_.lock_shared(); }, "lock_shared()");
    if (mutex_.try_lock_shared()) mutex_.unlock_shared();
    if (mutex_.try_lock()) {
      tried = true;
      mutex_.unlock();
    }
    return repaired;
  });
  broken.lock();
  broken.unlock();
  EXPECT_TRUE(tried);
  EXPECT_TRUE(others_can_lock());
}

TEST_P(robust_shared_mutex_misuse_test, a_class_belongs_to_one_kind_of_mutex) {
  const auto repair =
      on_owner_death<int, robust_shared_mutex>(seg_, "int", [](int& x, const owner_death&) {
        x = 7;
        return repaired;
      });
  expect_error(
      errc::type_mismatch,
      [&] { static_cast<void>(seg_.find_or_construct<guarded<int>>("plain", "int", 1)); },
      "a plain one of that class");
  auto& value = seg_.find_or_construct<guarded<int, robust_shared_mutex>>("int", "int", 42);
  std::thread([&] {
    value.mutex().lock();
    value.unguarded() = -1;
  }).join();
  EXPECT_EQ(*value.lock_shared(), 7);
}

TEST_P(robust_shared_mutex_misuse_test, not_recoverable_and_reset) {
  auto& value = seg_.find_or_construct<guarded<int, robust_shared_mutex>>("int", "int", 42);
  std::thread([&] { value.mutex().lock(); }).join();
  expect_error(
      errc::owner_died_unrepaired, [&] { static_cast<void>(value.lock_shared()); },
      "a reader without a repair");
  expect_error(
      errc::owner_died_unrepaired, [&] { static_cast<void>(value.lock()); },
      "a writer without a repair");
  {
    const auto repair = on_owner_death<int, robust_shared_mutex>(
        seg_, "int", [](int&, const owner_death&) { return failed; });
    for (unsigned i = 0; i < seg_.options().attempts; ++i) {
      expect_error(
          errc::repair_failed, [&] { static_cast<void>(value.lock_shared()); },
          "a reader whose repair fails");
    }
  }
  expect_error(
      errc::not_recoverable, [&] { static_cast<void>(value.lock_shared()); },
      "a reader after the last attempt");
  EXPECT_TRUE(reset(value, [](int& x, const owner_death&) {
    x = 1;
    return repaired;
  }));
  EXPECT_EQ(*value.lock_shared(), 1);
  EXPECT_EQ(*value.lock(), 1);
}

INSTANTIATE_TEST_SUITE_P(form, robust_shared_mutex_misuse_test,
                         ::testing::Values(reader_marks::automatic, reader_marks::locked),
                         name_of_form);

}  // namespace
}  // namespace outlive::testing
