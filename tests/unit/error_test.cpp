// Error codes: each has a text of its own, compares as an error code should, and goes with the
//   thrown form.
#include <outlive/error.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace {

using outlive::errc;

constexpr int first = static_cast<int>(errc::invalid_name);
constexpr int last = static_cast<int>(errc::lease_expired);

TEST(error, every_code_has_a_text_of_its_own) {
  std::set<std::string> texts;
  for (int code = first; code <= last; ++code) {
    const std::string text = std::error_code(code, outlive::error_category()).message();
    EXPECT_NE(text, "") << code;
    EXPECT_EQ(text.find("unknown"), std::string::npos) << code;
    EXPECT_TRUE(texts.insert(text).second) << text;
  }
  EXPECT_EQ(texts.size(), 33U);
}

TEST(error, other_codes_are_unknown_and_do_no_harm) {
  for (const int code : {0, last + 1, -1, 1 << 30}) {
    EXPECT_EQ(std::error_code(code, outlive::error_category()).message(),
              "unknown error of outlive")
        << code;
  }
}

TEST(error, codes_convert_and_compare) {
  const std::error_code code = errc::damaged;
  EXPECT_TRUE(code == errc::damaged);
  EXPECT_FALSE(code == errc::deadlock);
  EXPECT_TRUE(static_cast<bool>(code));
  EXPECT_STREQ(code.category().name(), "outlive");
  EXPECT_EQ(&code.category(), &outlive::error_category());
}

TEST(error, they_are_not_the_systems_errors) {
  EXPECT_FALSE(std::error_code(errc::not_found) == std::errc::no_such_file_or_directory);
  for (int code = first; code <= last; ++code) {
    EXPECT_NE(std::error_code(code, outlive::error_category()),
              std::error_code(code, std::generic_category()));
  }
}

TEST(error, the_thrown_form_carries_the_code) {
  const std::system_error thrown(errc::in_repair, "what");
  EXPECT_EQ(thrown.code(), errc::in_repair);
  EXPECT_EQ(std::string(thrown.what()), "what: not allowed inside a repair");
}

}  // namespace
