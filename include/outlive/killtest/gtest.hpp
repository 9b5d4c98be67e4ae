// For GoogleTest: EXPECT_SURVIVES_KILLS(scenario), and the same with options.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <gtest/gtest.h>

#include <outlive/killtest/explore.hpp>

namespace outlive::killtest {

[[nodiscard]] inline ::testing::AssertionResult survives_kills(const scenario& what,
                                                               const explore_options& how = {},
                                                               code_build built = this_build) {
  const report found = explore(what, how, built);
  if (found.ok()) return ::testing::AssertionSuccess() << found.summary();
  return ::testing::AssertionFailure() << found.summary();
}

}  // namespace outlive::killtest

#define EXPECT_SURVIVES_KILLS(...) EXPECT_TRUE(::outlive::killtest::survives_kills(__VA_ARGS__))
#define ASSERT_SURVIVES_KILLS(...) ASSERT_TRUE(::outlive::killtest::survives_kills(__VA_ARGS__))
