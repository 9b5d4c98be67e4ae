#include <outlive/version.hpp>

#include <gtest/gtest.h>

#include <string>

namespace {

TEST(version, library_and_headers_name_the_same_one) {
  EXPECT_STREQ(outlive::version(), OUTLIVE_VERSION);
}

TEST(version, text_is_made_of_the_three_numbers) {
  const std::string numbers = std::to_string(OUTLIVE_VERSION_MAJOR) + "." +
                              std::to_string(OUTLIVE_VERSION_MINOR) + "." +
                              std::to_string(OUTLIVE_VERSION_PATCH);
  EXPECT_EQ(numbers, OUTLIVE_VERSION);
}

}  // namespace
