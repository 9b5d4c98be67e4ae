// The death log's ring: it turns over, and a reader takes no harm from what overwrote it.
#include <outlive/death_log.hpp>
#include <outlive/repair.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <random>
#include <set>
#include <string>

#include "format/death_word.hpp"
#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

struct format_death_log : ::testing::Test {
  test_name name;
  segment seg = segment::create(name, few_of_everything());
  robust_mutex& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  repair_registration repair = on_owner_death(seg, "class", always_consistent);

  detail::death_entry* ring() {
    const auto at = detail::region_layout::of(segment_file(name.path()).constants());
    return reinterpret_cast<detail::death_entry*>(
        static_cast<char*>(const_cast<void*>(seg.base())) + at.deaths);
  }
  void one_death() {
    die_holding(mutex);
    ASSERT_EQ(lock_code(mutex), std::error_code());
  }
};

TEST_F(format_death_log, an_unused_log_is_empty) {
  EXPECT_TRUE(death_log(seg).empty());
}

TEST_F(format_death_log, it_keeps_the_last_256_in_their_order) {
  for (int i = 0; i < 300; ++i) one_death();
  const auto log = death_log(seg);
  ASSERT_EQ(log.size(), 256U);
  for (std::size_t i = 0; i < log.size(); ++i) {
    EXPECT_EQ(log[i].number, 300 - 256 + 1 + i);
    EXPECT_EQ(log[i].outcome, death_outcome::repaired);
    EXPECT_EQ(log[i].mutex_name, "mutex");
    EXPECT_EQ(log[i].owner.pid, getpid());
    EXPECT_GE(log[i].when, log[i > 0 ? i - 1 : 0].when);
  }
}

TEST_F(format_death_log, an_entry_that_is_not_whole_is_left_out) {
  for (int i = 0; i < 6; ++i) one_death();
  ring()[1].number.store(0);                                           // none yet
  ring()[2].number.store(1000);                                        // of another slot
  ring()[3].result.store(detail::death_result(4, 7, 0).word());        // no outcome
  ring()[4].result.store(detail::death_result(5 + 256, 2, 0).word());  // another entry's
  ring()[5].number.store(detail::death_word::busy(6, {1, 0}).word());  // being written
  const auto log = death_log(seg);
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log[0].number, 1U);
}

TEST_F(format_death_log, its_texts_end_within_their_place) {
  one_death();
  auto& death = ring()[0].death;
  std::memset(death.owner.name, 'n', sizeof death.owner.name);
  std::memset(death.heir.command, 'c', sizeof death.heir.command);
  std::memset(death.module, 'm', sizeof death.module);
  death.lock_class = ~0U;
  death.lock_offset = ~std::uint64_t{0};
  const auto log = death_log(seg);
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log[0].owner.thread_name, std::string(16, 'n'));
  EXPECT_EQ(log[0].heir.command_name, std::string(16, 'c'));
  EXPECT_EQ(log[0].acquired_at_module, std::string(144, 'm'));
  EXPECT_EQ(log[0].lock_class, "unknown");
  EXPECT_EQ(log[0].mutex_name, "unknown");
}

TEST_F(format_death_log, noise_is_read_without_harm) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  auto* const words = reinterpret_cast<std::uint32_t*>(ring());
  constexpr std::size_t count = 256 * sizeof(detail::death_entry) / 4;
  for (int round = 0; round < 50; ++round) {
    for (std::size_t i = 0; i < count; ++i) words[i] = static_cast<std::uint32_t>(random());
    // Plausible numbers, so that the noise behind them is looked at.
    for (std::uint64_t i = 0; i < 256; ++i) {
      ring()[i].number.store(i + 1);
      ring()[i].result.store(
          detail::death_result(i + 1, static_cast<std::uint32_t>(1 + random() % 5), random())
              .word());
    }
    EXPECT_EQ(death_log(seg).size(), 256U);
  }
}

TEST_F(format_death_log, a_count_of_deaths_that_was_overwritten_does_not_hide_them) {
  one_death();
  auto& header = *static_cast<detail::segment_header*>(const_cast<void*>(seg.base()));
  for (const std::uint64_t count :
       {std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0} - 1, std::uint64_t{1} << 63}) {
    header.deaths.store(count);
    EXPECT_EQ(death_log(seg).size(), 1U);
  }
  // The next deaths are logged, whatever the count was.
  for (const std::uint64_t count :
       {~std::uint64_t{0}, ~std::uint64_t{0} - 1, std::uint64_t{1} << 63, std::uint64_t{0},
        std::uint64_t{1} << 39}) {
    SCOPED_TRACE(count);
    header.deaths.store(count);
    std::set<std::chrono::system_clock::time_point> before;
    for (const auto& each : death_log(seg)) before.insert(each.when);
    one_death();
    one_death();
    std::size_t fresh = 0;
    for (const auto& each : death_log(seg)) fresh += before.count(each.when) == 0 ? 1U : 0U;
    EXPECT_EQ(fresh, 2U);
  }
}

// Each slot then has a later number than those that are given out again.
TEST_F(format_death_log,
       a_count_of_deaths_that_began_again_after_some_rounds_does_not_hide_the_next) {
  for (int i = 0; i < 600; ++i) one_death();
  static_cast<detail::segment_header*>(const_cast<void*>(seg.base()))->deaths.store(0);
  one_death();
  const auto log = death_log(seg);
  ASSERT_EQ(log.size(), 256U);
  EXPECT_EQ(log[0].number, 1U);
}

TEST_F(format_death_log, outcomes_have_names) {
  EXPECT_EQ(to_string(death_outcome::repairing), "repairing");
  EXPECT_EQ(to_string(death_outcome::repaired), "repaired");
  EXPECT_EQ(to_string(death_outcome::failed), "failed");
  EXPECT_EQ(to_string(death_outcome::unrepaired), "unrepaired");
  EXPECT_EQ(to_string(death_outcome::not_recoverable), "not recoverable");
  EXPECT_EQ(to_string(static_cast<death_outcome>(99)), "unknown");
}

}  // namespace
}  // namespace outlive::testing
