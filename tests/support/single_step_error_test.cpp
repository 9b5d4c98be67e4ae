// Wrong sweeps: each reports why.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <span>
#include <vector>

#include "support/foreign_locks.hpp"
#include "support/single_step.hpp"

namespace outlive::testing {
namespace {

/// A section of ten stores, written in assembly so that its length is known.
void ten_stores(volatile std::uint64_t* word) {
  section_begin();
  asm volatile(".rept 10\n\tincq (%0)\n\t.endr" : : "r"(word) : "memory");
  section_end();
}

class single_step_error_test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = tracing_unavailable()) GTEST_SKIP() << *why;
  }
};

TEST_F(single_step_error_test, a_sleep_without_end_is_an_error) {
  EXPECT_THROW(sweep({
                   .name = "stuck",
                   .setup = [] {},
                   .victim =
                       [](agent& self) {
                         section_begin();
                         self.pause_forever();
                       },
                   .after = [](const kill_point&) {},
                   .limit = milliseconds(100),
               }),
               timed_out);
}

TEST_F(single_step_error_test, a_victim_that_crashes_by_itself_is_an_error_that_names_the_place) {
  try {
    sweep({
        .name = "crasher",
        .setup = [] {},
        .victim =
            [](agent&) {
              section_begin();
              asm volatile("nop\n\tud2");
            },
        .after = [](const kill_point&) {},
    });
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("killed by signal 4"), std::string::npos)
        << error.what();
    EXPECT_NE(std::string(error.what()).find("support_single_step_error_test+0x"),
              std::string::npos)
        << error.what();
  }
}

TEST_F(single_step_error_test, a_sweep_that_kills_nobody_fails) {
  EXPECT_NONFATAL_FAILURE(sweep({
                              .name = "nobody",
                              .setup = [] {},
                              .victim =
                                  [](agent&) {
                                    section_begin();
                                    section_end();
                                  },
                              .after = [](const kill_point&) {},
                              .first = 5,
                          }),
                          "no victim was killed");
}

TEST_F(single_step_error_test, a_failing_check_names_its_kill_point) {
  shared_object<std::uint64_t> stores{0u};
  EXPECT_NONFATAL_FAILURE(sweep({
                              .name = "checked",
                              .setup = [&] { *stores = 0; },
                              .victim = [&](agent&) { ten_stores(stores.get()); },
                              .after = [&](const kill_point&) { EXPECT_NE(*stores, 7u); },
                          }),
                          "checked, kill point 7: support_single_step_error_test+0x");
}

}  // namespace
}  // namespace outlive::testing
