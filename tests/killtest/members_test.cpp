// What the report says of bytes that differ: the object's member, by its debugging information.
#include <outlive/killtest/gtest.hpp>

#include <gmock/gmock.h>

#include <array>
#include <string>

#include "killtest/members.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

std::string fault_of(void (*store)(office& of, long differs)) {
  return explore(office_scenario(store)).fault;
}

TEST(members, a_member_of_a_member_of_an_array_is_named) {
  EXPECT_THAT(fault_of([](office& of, long differs) { of.purses[3].balance = differs; }),
              HasSubstr(" of it (office.purses[3].balance): "));
}

TEST(members, both_values_are_told) {
  EXPECT_THAT(fault_of([](office& of, long differs) { of.purses[3].balance = differs; }),
              MatchesRegex(".*balance\\): 0*[0-9a-f]+, not 0*[0-9a-f]+\\..*"));
}

TEST(members, a_member_of_a_base_is_named_as_one_of_the_object) {
  EXPECT_THAT(fault_of([](office& of, long differs) { of.number = differs; }),
              HasSubstr(" (office.number): "));
}

TEST(members, an_element_of_a_standard_array_has_its_index_alone) {
  EXPECT_THAT(fault_of([](office& of, long differs) { of.reserves[1].balance = differs; }),
              HasSubstr(" (office.reserves[1].balance): "));
}

TEST(members, a_member_of_a_template_is_named) {
  EXPECT_THAT(fault_of([](office& of, long differs) { of.pair.one[1].balance = differs; }),
              HasSubstr(" (office.pair.one[1].balance): "));
  EXPECT_THAT(fault_of([](office& of, long differs) { of.pair.other.balance = differs; }),
              HasSubstr(" (office.pair.other.balance): "));
}

TEST(members, an_element_of_rows_and_columns_has_both_indexes) {
  EXPECT_THAT(fault_of([](office& of, long differs) { of.grid[1][2] = differs; }),
              HasSubstr(" (office.grid[1][2]): "));
}

TEST(members, of_a_union_without_a_name_the_largest_member_is_named) {
  EXPECT_THAT(fault_of([](office& of, long differs) { of.large = differs; }),
              HasSubstr(" (office.large): "));
}

TEST(members, of_two_bit_fields_in_one_word_the_one_that_differs_is_named) {
  EXPECT_THAT(fault_of([](office& of, long differs) {
                of.is_late = static_cast<unsigned>(differs) & 0xffffff;
              }),
              HasSubstr(" (office.is_late): "));
}

TEST(members, an_object_that_is_an_array_has_the_index_behind_its_name) {
  scenario what = office_scenario(nullptr);
  what.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<std::array<purse, 8>>>("purses", "purses"));
  };
  what.victim = [](segment& seg) {
    (*seg.find<guarded<std::array<purse, 8>>>("purses")->lock())[5].balance = ::getpid();
  };
  EXPECT_THAT(explore(what).fault, HasSubstr(" (purses[5].balance): "));
}

TEST(members, an_object_without_members_is_named_alone) {
  scenario what = office_scenario(nullptr);
  what.make = [](segment& seg) { static_cast<void>(seg.find_or_construct<long>("total")); };
  what.victim = [](segment& seg) { *seg.find<long>("total") = ::getpid(); };
  EXPECT_THAT(explore(what).fault, HasSubstr("in \"total\", at byte 0 of it"));
  EXPECT_THAT(explore(what).fault, Not(HasSubstr("(total")));
}

}  // namespace
}  // namespace outlive::killtest::testing
