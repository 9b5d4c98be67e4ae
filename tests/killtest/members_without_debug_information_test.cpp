// Without debugging information the report tells the object and the byte.
#include <outlive/killtest/gtest.hpp>

#include <gmock/gmock.h>

#include "killtest/members.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::MatchesRegex;

TEST(members_without_debug_information, the_byte_of_the_object_is_told) {
  const scenario what =
      office_scenario([](office& of, long differs) { of.purses[3].balance = differs; });
  EXPECT_THAT(explore(what).fault,
              MatchesRegex(".*in \"office\", at byte [0-9]+ of it: [0-9a-f]+, not .*"));
}

}  // namespace
}  // namespace outlive::killtest::testing
