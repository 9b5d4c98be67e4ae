// The coverage of several scenarios: each covers what it comes to, together they cover more.
#include <outlive/killtest/coverage.hpp>
#include <outlive/killtest/gtest.hpp>

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <stdlib.h>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr const char* variable = "OUTLIVE_KILLTEST_COVERAGE";

/// A new folder. While it is there, the environment names none: it would take the place of the one
/// in the options.
class folder {
 public:
  folder() {
    if (const char* const of_run = std::getenv(variable)) of_run_ = of_run;
    ::unsetenv(variable);
    std::string path = std::filesystem::temp_directory_path() / "outlive-coverage-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr)
      throw std::system_error(errno, std::generic_category(), path);
    path_ = path;
  }
  ~folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
    if (of_run_) ::setenv(variable, of_run_->c_str(), 1);
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  std::optional<std::string> of_run_;
};

constexpr unsigned line_of_credit = __LINE__ + 5;
constexpr unsigned line_of_debit = line_of_credit + 4;

[[gnu::noinline]] void change(bank& of, bool credit) {
  if (credit) {
    of.a = 501;
    crash_barrier();
    of.b = 499;
  } else {
    of.a = 499;
    crash_barrier();
    of.b = 501;
  }
}

constexpr unsigned line_of_repair = __LINE__ + 5;

/// One way for each branch of change().
[[gnu::noinline]] repair_result mend(bank& of, const owner_death&) {
  if (of.a > 500) {
    of.b = 499;
  } else if (of.a < 500) {
    of.b = 501;
  }
  return repaired;
}

scenario change_scenario(const std::string& name, bool credit) {
  scenario made = bank_scenario(&mend);
  made.name = name;
  made.victim = [=](segment& seg) {
    auto held = seg.find<guarded<bank>>("accounts")->lock();
    change(*held, credit);
  };
  return made;
}

// `depth`: without deaths of heirs, what they come to is missed, and takes far less time.
void cover(const folder& in, const scenario& what, unsigned depth = explore_options{}.depth) {
  explore_options how;
  how.depth = depth;
  how.coverage = in.path();
  how.confirm = 0;
  const report found = explore(what, how);
  EXPECT_TRUE(found.ok()) << found;
}

std::vector<unsigned> holes_of_this_file(const coverage& of) {
  std::vector<unsigned> found;
  for (const covered_line& each : of.holes()) {
    if (each.file.ends_with("killtest/coverage_test.cpp")) found.push_back(each.line);
  }
  return found;
}

TEST(coverage, a_branch_that_no_victim_and_no_heir_takes_is_a_hole) {
  const folder credits;
  cover(credits, change_scenario("credit", true));
  const coverage found = read_coverage(credits.path());
  EXPECT_THAT(
      holes_of_this_file(found),
      AllOf(Contains(line_of_debit), Contains(line_of_debit + 2), Contains(line_of_repair + 2),
            Not(Contains(line_of_credit)), Not(Contains(line_of_repair))))
      << found.summary();
  EXPECT_THAT(found.summary(),
              AllOf(HasSubstr("coverage_test.cpp:" + std::to_string(line_of_debit) + " in "),
                    HasSubstr("change()")));
}

TEST(coverage, two_scenarios_that_take_both_branches_leave_no_hole) {
  const folder both;
  cover(both, change_scenario("credit", true));
  EXPECT_THAT(holes_of_this_file(read_coverage(both.path())), Not(IsEmpty()));
  cover(both, change_scenario("debit", false));
  const coverage found = read_coverage(both.path());
  EXPECT_THAT(holes_of_this_file(found), IsEmpty()) << found.summary();
  EXPECT_THAT(found.scenarios, UnorderedElementsAre("credit", "debit"));
  EXPECT_GT(found.lines.size(), 10U);
  EXPECT_THAT(found.left_out, IsEmpty());
}

TEST(coverage, a_scenario_that_is_run_again_takes_the_place_of_its_former_part) {
  const folder in;
  cover(in, change_scenario("one", true), 1);
  cover(in, change_scenario("one", false), 1);
  const coverage found = read_coverage(in.path());
  EXPECT_THAT(found.scenarios, ElementsAre("one"));
  EXPECT_THAT(holes_of_this_file(found),
              AllOf(Contains(line_of_credit), Not(Contains(line_of_debit))))
      << found.summary();
}

TEST(coverage, the_folder_in_the_environment_takes_the_place_of_the_one_in_the_options) {
  const folder of_options;
  const folder of_run;
  ASSERT_EQ(::setenv(variable, of_run.path().c_str(), 1), 0);
  cover(of_options, change_scenario("credit", true), 1);
  ASSERT_EQ(::unsetenv(variable), 0);
  EXPECT_THAT(read_coverage(of_run.path()).scenarios, ElementsAre("credit"));
  EXPECT_TRUE(std::filesystem::is_empty(of_options.path()));
}

TEST(coverage, what_the_search_left_out_is_said_with_the_scenario) {
  const folder in;
  explore_options how;
  how.coverage = in.path();
  how.depth = 1;
  static_cast<void>(explore(change_scenario("victim alone", true), how));
  const coverage found = read_coverage(in.path());
  EXPECT_THAT(found.left_out, Contains(AllOf(HasSubstr("victim alone: "), HasSubstr("(depth)"))));
  EXPECT_THAT(found.summary(), HasSubstr("left out: victim alone: "));
}

TEST(coverage, the_tracefile_and_the_json_have_each_hole) {
  const folder in;
  cover(in, change_scenario("credit", true), 1);
  const coverage found = read_coverage(in.path());
  const std::string path = in.path() + "/merged.info";
  write_lcov(found, path);
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(text, HasSubstr("\nDA:" + std::to_string(line_of_debit) + ",0\n"));
  EXPECT_THAT(text, HasSubstr("\nDA:" + std::to_string(line_of_credit) + ",1\n"));
  EXPECT_THAT(to_json(found), HasSubstr("\"line\": " + std::to_string(line_of_debit)));
}

TEST(coverage, a_folder_without_parts_and_a_file_that_is_none_are_errors) {
  const folder in;
  EXPECT_THROW(static_cast<void>(read_coverage(in.path())), std::runtime_error);
  EXPECT_THROW(static_cast<void>(read_coverage(in.path() + "/none")), std::system_error);
  std::ofstream(in.path() + "/coverage-0.json") << "{}";
  EXPECT_THROW(static_cast<void>(read_coverage(in.path())), std::runtime_error);
}

}  // namespace
}  // namespace outlive::killtest::testing
