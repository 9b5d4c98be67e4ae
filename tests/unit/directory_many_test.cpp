// Many objects, many changes, many threads: the directory against a model of it.
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

TEST(directory_many, a_hundred_thousand_names) {
  constexpr std::uint32_t count = 100'000;
  segment_options options;
  options.directory_capacity = count;
  options.size = std::size_t{count} * 128;
  segment seg = segment::anonymous(options);
  for (std::uint32_t i = 0; i < count; ++i)
    seg.find_or_construct<std::uint32_t>("object " + std::to_string(i), i);
  std::size_t wrong = 0;
  const auto value_of = [&](std::uint32_t i) {
    const auto* const found = seg.find<std::uint32_t>("object " + std::to_string(i));
    return found == nullptr ? ~0U : *found;
  };
  for (std::uint32_t i = 0; i < count; ++i) wrong += value_of(i) != i ? 1U : 0U;
  EXPECT_EQ(wrong, 0U);
  for (std::uint32_t i = count; i < count + 1000; ++i) wrong += value_of(i) != ~0U ? 1U : 0U;
  EXPECT_EQ(wrong, 0U);
  EXPECT_THROW(seg.find_or_construct<std::uint32_t>("one more", 0U), std::system_error);
  // Every third goes, and comes back as another.
  for (std::uint32_t i = 0; i < count; i += 3)
    wrong += seg.destroy<std::uint32_t>("object " + std::to_string(i)) ? 0U : 1U;
  for (std::uint32_t i = 0; i < count; ++i)
    wrong += value_of(i) != (i % 3 == 0 ? ~0U : i) ? 1U : 0U;
  for (std::uint32_t i = 0; i < count; i += 3)
    seg.find_or_construct<std::uint32_t>("object " + std::to_string(i), i + 1);
  for (std::uint32_t i = 0; i < count; ++i)
    wrong += value_of(i) != (i % 3 == 0 ? i + 1 : i) ? 1U : 0U;
  EXPECT_EQ(wrong, 0U);
  std::size_t seen = 0;
  seg.for_each([&](const segment::object_info&) { ++seen; });
  EXPECT_EQ(seen, count);
}

// One of three types, with its number in every byte that it has.
template <std::size_t Size>
using filled = std::array<unsigned char, Size>;

class model {
 public:
  explicit model(segment& seg) : seg_(seg) {}

  template <std::size_t Size>
  void make(const std::string& name, unsigned char number) {
    filled<Size> bytes;
    bytes.fill(number);
    const auto known = known_.find(name);
    try {
      auto& made = seg_.find_or_construct<filled<Size>>(name, bytes);
      ASSERT_TRUE(known == known_.end() || known->second.first == Size);
      if (known == known_.end()) known_[name] = {Size, number};
      EXPECT_EQ(made[0], known_[name].second);
    } catch (const std::system_error& error) {
      if (known != known_.end()) {
        EXPECT_EQ(error.code(), errc::type_mismatch);
        EXPECT_NE(known->second.first, Size);
      } else if (known_.size() == capacity) {
        EXPECT_EQ(error.code(), errc::directory_full);
      } else {
        EXPECT_EQ(error.code(), errc::no_space) << error.what();
      }
    }
  }
  template <std::size_t Size>
  void destroy(const std::string& name) {
    const auto known = known_.find(name);
    if (known != known_.end() && known->second.first != Size) {
      EXPECT_THROW(seg_.destroy<filled<Size>>(name), std::system_error);
      return;
    }
    EXPECT_EQ(seg_.destroy<filled<Size>>(name), known != known_.end());
    known_.erase(name);
  }
  void check() const {
    std::size_t seen = 0;
    seg_.for_each([&](const segment::object_info& each) {
      ++seen;
      const auto known = known_.find(std::string(each.name));
      ASSERT_NE(known, known_.end());
      ASSERT_EQ(each.size, known->second.first);
      const auto* const bytes = static_cast<const unsigned char*>(each.address);
      for (std::size_t i = 0; i < each.size; ++i)
        ASSERT_EQ(bytes[i], known->second.second) << each.name;
    });
    EXPECT_EQ(seen, known_.size());
  }

  static constexpr std::size_t capacity = 40;

 private:
  segment& seg_;
  std::map<std::string, std::pair<std::size_t, unsigned char>> known_;
};

TEST(directory_many, random_changes_agree_with_a_model) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  segment_options options = few_of_everything();
  options.directory_capacity = model::capacity;
  options.size = 16'384;  // too small for all at once, so that memory runs out, too
  segment seg = segment::anonymous(options);
  model objects(seg);
  for (int step = 0; step < 20'000 && !::testing::Test::HasFailure(); ++step) {
    const auto number = random() % 60;
    // Every fourth name is long, so that it stands behind its object.
    const std::string name =
        "n" + std::to_string(number) + std::string(number % 4 == 0 ? 40 + number : 0, 'x');
    const auto value = static_cast<unsigned char>(random());
    switch (random() % 6) {
      case 0: objects.make<1>(name, value); break;
      case 1: objects.make<100>(name, value); break;
      case 2: objects.make<300>(name, value); break;
      case 3: objects.destroy<1>(name); break;
      case 4: objects.destroy<100>(name); break;
      default: objects.destroy<300>(name); break;
    }
    if (step % 50 == 0) objects.check();
  }
  objects.check();
}

// Look-ups take no lock: what others make and destroy around it must neither hide an object nor
// look like damage.
TEST(directory_many, a_look_up_is_not_disturbed_by_others_changes) {
  segment_options options = few_of_everything();
  options.directory_capacity = 16;
  options.threads = 8;
  options.size = 65'536;
  segment seg = segment::anonymous(options);
  seg.find_or_construct<int>("here", 42);
  std::atomic<bool> stop{false};
  std::atomic<unsigned> rounds{0};
  std::atomic<unsigned> wrong{0};
  const auto churn = [&](const std::string& prefix) {
    while (!stop) {
      for (int i = 0; i < 6; ++i) seg.find_or_construct<int>(prefix + std::to_string(i), i);
      for (int i = 0; i < 6; ++i) seg.destroy<int>(prefix + std::to_string(i));
      ++rounds;
    }
  };
  const auto look = [&] {
    while (!stop) {
      try {
        const int* const found = seg.find<int>("here");
        if (found == nullptr || *found != 42) ++wrong;
        (void)seg.find<int>("a3");
        if (seg.find<int>("never there") != nullptr) ++wrong;
      } catch (const std::system_error& error) {
        ADD_FAILURE() << error.what();
        stop = true;
      }
    }
  };
  std::vector<std::thread> all;
  all.emplace_back(churn, "a");
  all.emplace_back(churn, "b");
  all.emplace_back(look);
  all.emplace_back(look);
  EXPECT_TRUE(within(default_timeout(), [&] { return rounds > 2000 || stop; }));
  stop = true;
  for (auto& each : all) each.join();
  EXPECT_EQ(wrong, 0U);
}

}  // namespace
}  // namespace outlive::testing
