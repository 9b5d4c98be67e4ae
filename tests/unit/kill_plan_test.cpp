// OUTLIVE_KILL: what it may say, and which step is done when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kill_point/kill_plan.hpp"

namespace outlive::detail {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::uint32_t lowest() noexcept {
  return 0;
}
std::uint32_t highest() noexcept {
  return ~std::uint32_t{0};
}
std::uint32_t half() noexcept {
  return std::uint32_t{1} << 31;
}

std::string refusal_of(const std::string& text) {
  try {
    const kill_plan made{text};
    return "none";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

std::vector<std::optional<kill_action>> actions(const kill_plan& plan, const char* point,
                                                int visits,
                                                std::uint32_t (*draw)() noexcept = &half) {
  std::vector<std::optional<kill_action>> done;
  for (int i = 0; i < visits; ++i) {
    const kill_step* const step = plan.step_at(point, draw);
    done.push_back(step == nullptr ? std::nullopt : std::optional(step->action));
  }
  return done;
}

TEST(kill_plan, counted_steps_follow_one_another_and_then_nothing_is_done) {
  const kill_plan plan("after-debit=3*off->1*kill");
  EXPECT_THAT(actions(plan, "after-debit", 6),
              ElementsAre(kill_action::off, kill_action::off, kill_action::off, kill_action::kill,
                          std::nullopt, std::nullopt));
}

TEST(kill_plan, a_point_of_another_name_is_left_alone) {
  const kill_plan plan("after-debit=kill");
  EXPECT_THAT(actions(plan, "after-credit", 1), ElementsAre(std::nullopt));
  EXPECT_THAT(actions(plan, "after-debit2", 1), ElementsAre(std::nullopt));
  EXPECT_THAT(actions(plan, "after-debi", 1), ElementsAre(std::nullopt));
}

TEST(kill_plan, each_of_several_points_has_its_own_steps_and_spaces_do_not_matter) {
  const kill_plan plan(" a = 1*print(hello; you) -> exit(7) ; b=sleep(20);\n");
  const kill_step* const first = plan.step_at("a", &half);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->text, "hello; you");
  EXPECT_EQ(plan.step_at("a", &half)->number, 7U);
  EXPECT_EQ(plan.step_at("b", &half)->number, 20U);
}

TEST(kill_plan, a_star_means_every_point_and_the_first_name_counts) {
  const kill_plan plan("a=off;*=print");
  EXPECT_THAT(actions(plan, "a", 2), ElementsAre(kill_action::off, kill_action::off));
  EXPECT_THAT(actions(plan, "b", 1), ElementsAre(kill_action::print));
}

TEST(kill_plan, a_percentage_that_does_not_apply_leaves_the_count_and_goes_on_to_the_next_step) {
  const kill_plan plan("a=20.5%1*kill->print");
  EXPECT_TRUE(plan.is_random());
  EXPECT_THAT(actions(plan, "a", 2, &highest), ElementsAre(kill_action::print, kill_action::print));
  EXPECT_THAT(actions(plan, "a", 2, &lowest), ElementsAre(kill_action::kill, kill_action::print));
}

TEST(kill_plan, no_chance_is_never_and_a_hundred_is_always) {
  EXPECT_THAT(actions(kill_plan("a=0%kill"), "a", 1, &lowest), ElementsAre(std::nullopt));
  EXPECT_THAT(actions(kill_plan("a=100%kill"), "a", 1, &highest), ElementsAre(kill_action::kill));
  EXPECT_THAT(actions(kill_plan("a=50%kill"), "a", 1, &half), ElementsAre(std::nullopt));
  EXPECT_FALSE(kill_plan("a=100%kill").is_random());
}

TEST(kill_plan, an_empty_text_arms_nothing) {
  EXPECT_TRUE(kill_plan("").is_empty());
  EXPECT_TRUE(kill_plan(" ; ").is_empty());
}

TEST(kill_plan, what_is_malformed_is_refused_and_says_where_what_was_found_and_what_was_expected) {
  EXPECT_THAT(refusal_of("after-debit"),
              AllOf(HasSubstr("column 1"), HasSubstr("found \"after-debit\""),
                    HasSubstr("expected NAME=ACTION")));
  EXPECT_THAT(refusal_of("a=off;b=kil"), AllOf(HasSubstr("column 9"), HasSubstr("found \"kil\""),
                                               HasSubstr("one of off, kill, segv")));
  EXPECT_THAT(refusal_of("=kill"), HasSubstr("name of a kill point"));
  EXPECT_THAT(refusal_of("a="), HasSubstr("one of off"));
  EXPECT_THAT(refusal_of("a=kill->"), HasSubstr("one of off"));
  EXPECT_THAT(refusal_of("a=x*kill"),
              AllOf(HasSubstr("column 3"), HasSubstr("found \"x\""), HasSubstr("before \"*\"")));
  EXPECT_THAT(refusal_of("a=-1*kill"), HasSubstr("before \"*\""));
  EXPECT_THAT(refusal_of("a=101%kill"), HasSubstr("from 0 to 100"));
  EXPECT_THAT(refusal_of("a=nan%kill"), HasSubstr("from 0 to 100"));
  EXPECT_THAT(refusal_of("a=exit(256)"), HasSubstr("from 0 to 255"));
  EXPECT_THAT(refusal_of("a=exit(1"), HasSubstr("expected (ARGUMENT)"));
  EXPECT_THAT(refusal_of("a=exit(1)x"), HasSubstr("expected (ARGUMENT)"));
  EXPECT_THAT(refusal_of("a=kill(9)"), HasSubstr("expected no argument of kill"));
  EXPECT_THAT(refusal_of("a=sleep"), HasSubstr("expected sleep(NUMBER)"));
}

}  // namespace
}  // namespace outlive::detail
