// Every single byte of a segment's header, names, index and blocks changed: an error, or complete
// working; never a crash, a hang, or something lost without a word. The three masks are a whole
// byte turned over and its lowest and highest bit.
#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "unit/segment_damage.hpp"

namespace outlive::testing {
namespace {

using detail::segment_constants;
using detail::segment_header;

const std::vector<unsigned char> one_mask{0xff};
const std::vector<unsigned char> three_masks{0xff, 0x01, 0x80};

TEST(segment_damage, the_sample_works_when_nothing_is_changed) {
  damage_trial trial;
  const damage_result result = trial.try_all({{0, 1}}, {0x00});
  EXPECT_EQ(result.worked, 1U);
}

TEST(segment_damage, a_changed_constant_is_always_refused) {
  damage_trial trial;
  const damage_result result = trial.try_all({{0, sizeof(segment_constants)}}, three_masks);
  EXPECT_EQ(result.refused, 3 * sizeof(segment_constants));
}

TEST(segment_damage, adoption_lock) {
  damage_trial trial;
  constexpr std::size_t begin = offsetof(segment_header, adoption);
  EXPECT_GT(trial.try_all({{begin, begin + sizeof(detail::internal_lock)}}, three_masks).worked,
            0U);
}

TEST(segment_damage, directory_lock) {
  damage_trial trial;
  constexpr std::size_t begin = offsetof(segment_header, directory);
  EXPECT_GT(trial.try_all({{begin, begin + sizeof(detail::internal_lock)}}, three_masks).worked,
            0U);
}

TEST(segment_damage, names_lock) {
  damage_trial trial;
  constexpr std::size_t begin = offsetof(segment_header, names);
  EXPECT_GT(trial.try_all({{begin, begin + sizeof(detail::internal_lock)}}, three_masks).worked,
            0U);
}

// Counts are the bytes whose small changes look most like the truth: each bit of them.
TEST(segment_damage, counts_of_records_names_deaths_and_objects) {
  damage_trial trial;
  constexpr std::size_t counts = offsetof(segment_header, directory_counts);
  const damage_result result =
      trial.try_all({{offsetof(segment_header, records_in_use), offsetof(segment_header, reserved)},
                     {counts, counts + offsetof(detail::directory_state, freed)}},
                    {0xff, 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80});
  EXPECT_GT(result.refused, 0U);
  EXPECT_GT(result.worked, 0U);
}

TEST(segment_damage, lists_of_freed_blocks) {
  damage_trial trial;
  constexpr std::size_t counts = offsetof(segment_header, directory_counts);
  const damage_result result = trial.try_all({{counts + offsetof(detail::directory_state, freed),
                                               counts + sizeof(detail::directory_state)}},
                                             three_masks);
  EXPECT_GT(result.worked, 0U);
}

// Free locks stay free, whoever is said to be at them.
TEST(segment_damage, entrants) {
  damage_trial trial;
  constexpr std::size_t counts = offsetof(segment_header, internal_acquisitions);
  constexpr std::size_t begin = offsetof(segment_header, entrants);
  const damage_result result = trial.try_all(
      {{counts, offsetof(segment_header, reserved)}, {begin, begin + 4 * sizeof(std::uint64_t)}},
      three_masks);
  EXPECT_EQ(result.worked, result.tried);
}

TEST(segment_damage, the_rest_of_the_header_page_is_not_used) {
  damage_trial trial;
  constexpr std::size_t begin =
      offsetof(segment_header, entrants) + sizeof(segment_header::entrants);
  const damage_result result = trial.try_all(
      {{offsetof(segment_header, reserved), offsetof(segment_header, directory_counts)},
       {begin, sizeof(segment_header)}},
      one_mask);
  EXPECT_EQ(result.worked, result.tried);
}

TEST(segment_damage, names) {
  damage_trial trial;
  const auto& at = trial.sample().layout();
  const std::size_t used = at.names + trial.sample().name_count() * sizeof(detail::name_entry);
  const damage_result result = trial.try_all({{at.names, used}}, three_masks);
  EXPECT_GT(result.refused, 0U);
  EXPECT_GT(trial.try_all({{used, at.deaths}}, one_mask).worked, 0U);
}

TEST(segment_damage, index) {
  damage_trial trial;
  const auto& at = trial.sample().layout();
  const damage_result result = trial.try_all(
      {{at.index, at.index + at.index_slots * sizeof(detail::index_slot)}}, three_masks);
  EXPECT_GT(result.refused, 0U);
  EXPECT_GT(result.worked, 0U);
}

TEST(segment_damage, headers_and_long_names_of_blocks) {
  damage_trial trial;
  const damage_result result = trial.try_all(trial.block_headers(), three_masks);
  EXPECT_GT(result.refused, 0U);
}

TEST(segment_damage, participants) {
  damage_trial trial;
  const auto& at = trial.sample().layout();
  EXPECT_GT(trial.try_all({{at.participants, at.participants + 512}}, three_masks).worked, 0U);
}

TEST(segment_damage, thread_records) {
  damage_trial trial;
  const auto& at = trial.sample().layout();
  EXPECT_GT(trial.try_all({{at.records, at.marks}}, three_masks).worked, 0U);
}

}  // namespace
}  // namespace outlive::testing
