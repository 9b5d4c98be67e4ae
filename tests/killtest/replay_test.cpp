// replay(): the image of a crash state, in the process that has explored it.
#include <outlive/killtest/explore.hpp>
#include <outlive/killtest/replay.hpp>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <outlive/error.hpp>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::HasSubstr;

class folder {
 public:
  folder() {
    if (::mkdtemp(path_.data()) == nullptr)
      throw std::system_error(errno, std::generic_category(), path_);
  }
  ~folder() { std::filesystem::remove_all(path_); }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_ = std::filesystem::temp_directory_path() / "outlive-replay-XXXXXX";
};

explore_options with_images(const folder& in) {
  explore_options how;
  how.images = in.path();
  return how;
}

std::string refusal(const scenario& what, const std::string& image) {
  try {
    static_cast<void>(replay(what, image));
  } catch (const std::system_error& error) {
    return error.what();
  }
  return "none";
}

TEST(replay, each_image_comes_to_the_verdict_of_its_state) {
  const folder images;
  scenario wrong = bank_scenario(&clear_flag_first);
  // The thread that makes it has used the segment, and has a record in it: in the image there is
  // another one in its place.
  wrong.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<bank>>("accounts", "account").lock());
  };
  const report found = explore(wrong, with_images(images));
  std::size_t replays = 0;
  for (const crash_state& each : found.states) {
    if (each.result == verdict::ok) continue;
    ASSERT_FALSE(each.image.empty());
    const replayed again = replay(wrong, each.image);
    EXPECT_EQ(again.result, each.result);
    EXPECT_EQ(again.what, each.what);
    EXPECT_EQ(again.repaired, 1U);
    ++replays;
  }
  EXPECT_GT(replays, 0U) << found;
}

TEST(replay, the_repair_runs_in_the_calling_thread) {
  const folder images;
  static thread_local bool is_caller = false;
  is_caller = true;
  static int in_caller = 0;
  const auto count = [](bank& of, const owner_death& death) {
    if (is_caller) ++in_caller;
    return clear_flag_first(of, death);
  };
  const report found = explore(bank_scenario(count), with_images(images));
  in_caller = 0;  // the heirs of explore() were other processes
  ASSERT_NE(found.first_failure(), nullptr) << found;
  EXPECT_EQ(replay(bank_scenario(count), found.first_failure()->image).result,
            verdict::invariant_violated);
  EXPECT_EQ(in_caller, 1);
}

TEST(replay, an_image_of_another_scenario_is_refused_with_both_sizes) {
  const folder images;
  const report found = explore(bank_scenario(&clear_flag_first), with_images(images));
  ASSERT_NE(found.first_failure(), nullptr) << found;
  const std::string& image = found.first_failure()->image;
  scenario larger = bank_scenario(&clear_flag_first);
  larger.options.size *= 2;
  EXPECT_THAT(refusal(larger, image), HasSubstr(image));
  EXPECT_THAT(refusal(larger, image), HasSubstr(std::to_string(std::filesystem::file_size(image))));
  EXPECT_THAT(refusal(larger, image), HasSubstr("another scenario"));
}

TEST(replay, what_is_no_image_is_refused_by_name) {
  const folder images;
  const std::string text = images.path() + "/text";
  std::ofstream(text) << "no image";
  EXPECT_THAT(refusal(bank_scenario(&undo_in_order), text), HasSubstr(text + ": found 8 bytes"));
  EXPECT_THAT(refusal(bank_scenario(&undo_in_order), images.path() + "/none"),
              HasSubstr("/none: the image could not be read"));
  EXPECT_THAT(refusal(bank_scenario(&undo_in_order), images.path()), HasSubstr(images.path()));
}

}  // namespace
}  // namespace outlive::killtest::testing
