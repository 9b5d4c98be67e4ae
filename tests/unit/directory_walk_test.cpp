// Walks over the objects without a lock, while others come and go in the same memory: whole names,
// no damage that is not there.
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>

#include "directory/directory.hpp"
#include "inspect/check/problems.hpp"
#include "segment/segment_access.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

struct line {
  char bytes[64];
};

// Makes and destroys an object by two names in turn, in one block, as long as it lives.
class churn {
 public:
  // `pauses`: look-ups after each, which take no mutex.
  explicit churn(segment& seg, int pauses = 0)
      : writer_([&seg, pauses, this] {
          for (int i = 0; !stop_.load(std::memory_order_relaxed); ++i) {
            const std::string& name = i % 2 == 0 ? one : two;
            seg.find_or_construct<line>(name);
            seg.destroy<line>(name);
            for (int pause = 0; pause < pauses; ++pause) static_cast<void>(seg.find<line>(name));
            rounds.fetch_add(1, std::memory_order_relaxed);
          }
        }) {}
  ~churn() {
    stop_ = true;
    writer_.join();
  }
  const std::string one = "the one " + std::string(240, 'x');
  const std::string two = "the other " + std::string(200, 'y');
  std::atomic<long> rounds{0};

 private:
  std::atomic<bool> stop_{false};
  std::thread writer_;
};

constexpr long enough_rounds = 200'000;
constexpr int enough_looks = 10'000, least_looks = 500;

TEST(directory_walk, for_each_gives_whole_names_while_objects_come_and_go) {
  segment seg = segment::anonymous();
  seg.find_or_construct<int>("stays", 1);
  long seen = 0;
  {
    churn others(seg);
    const deadline end(default_timeout());
    while ((others.rounds < enough_rounds || seen == 0) && !end.passed()) {
      int stays = 0;
      ASSERT_NO_THROW(seg.for_each([&](const segment::object_info& each) {
        const std::string name(each.name);
        if (name == "stays") {
          ++stays;
        } else {
          ASSERT_TRUE(name == others.one || name == others.two) << name;
          ++seen;
        }
      }));
      ASSERT_EQ(stays, 1);
    }
  }
  EXPECT_GT(seen, 0);
}

/// The check reads blocks, then slots. Between the two, an object may have come or gone, and
/// whoever did that may be gone, too.
TEST(directory_walk, the_check_finds_no_problem_while_objects_come_and_go) {
  segment seg = segment::anonymous(few_of_everything());
  const auto mapped = detail::segment_access::mapping_of(seg);
  churn others(seg, 10);
  const deadline end(default_timeout());
  int looks = 0;
  while (looks < enough_looks && (looks < least_looks || !end.passed())) {
    ++looks;
    detail::problem_list found;
    detail::check_directory(found, *mapped);
    ASSERT_TRUE(found.all().empty()) << to_string(found.all().front()) << ", at look " << looks;
  }
  EXPECT_GT(others.rounds, 0);
}

TEST(directory_walk, a_name_of_a_place_is_whole_or_none) {
  segment seg = segment::anonymous();
  const auto mapped = detail::segment_access::mapping_of(seg);
  const std::string long_name(250, 'n');  // room for the names to come
  const std::uint64_t offset = mapped->offset_of(&seg.find_or_construct<line>(long_name));
  seg.destroy<line>(long_name);
  long seen = 0;
  {
    churn others(seg);
    const deadline end(default_timeout());
    while ((others.rounds < enough_rounds || seen == 0) && !end.passed()) {
      for (const std::uint64_t within : {std::uint64_t{0}, std::uint64_t{32}}) {
        detail::blocks::name_copy copy;
        const std::string name(detail::directory::copy_name_of(*mapped, offset + within, copy));
        ASSERT_TRUE(name.empty() || name == others.one || name == others.two) << name;
        seen += !name.empty();
      }
    }
  }
  EXPECT_GT(seen, 0);
}

// The second look must not take damage for a change.
TEST(directory_walk, a_damaged_name_is_told) {
  segment seg = segment::anonymous();
  int& object = seg.find_or_construct<int>("name", 1);
  auto& block = reinterpret_cast<detail::block_header*>(&object)[-1];
  block.name[0] ^= 1;
  expect_error(errc::damaged, {"no sound block at line 0"},
               [&] { seg.for_each([](const segment::object_info&) {}); });
  block.name[0] ^= 1;
  EXPECT_NO_THROW(seg.for_each([](const segment::object_info&) {}));
}

}  // namespace
}  // namespace outlive::testing
