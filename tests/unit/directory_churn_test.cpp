// Names that come and go for ever: the index keeps empty slots, so that a miss stays short, and
// look-ups meanwhile miss nothing that is there.
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "directory/index.hpp"
#include "format/hash.hpp"
#include "segment/segment_access.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

struct thing {
  long value;
};

// As many names as are wanted, of which one at random is replaced by a new one again and again.
class population {
 public:
  population(segment& seg, std::size_t size) : seg_(seg) {
    while (names_.size() < size) add();
  }
  void replace_one() {
    std::swap(names_[random_() % names_.size()], names_.back());
    EXPECT_TRUE(seg_.destroy<thing>(names_.back()));
    names_.pop_back();
    add();
  }
  const std::vector<std::string>& names() const { return names_; }

 private:
  void add() {
    names_.push_back("n" + std::to_string(next_++));
    seg_.find_or_construct<thing>(names_.back());
  }
  segment& seg_;
  std::vector<std::string> names_;
  std::minstd_rand random_{1};
  long next_ = 0;
};

// Slots that a look-up reads when the name is not there: from the first of a bucket to the first
// empty one.
std::vector<std::size_t> lengths_of_misses(const segment& seg) {
  const auto mapped = detail::segment_access::mapping_of(seg);
  const std::size_t slots = mapped->layout().index_slots;
  std::vector<std::size_t> lengths;
  for (std::size_t bucket = 0; bucket < slots; bucket += detail::slots_in_bucket) {
    std::size_t length = 1;
    while (length <= slots &&
           mapped->index()[(bucket + length - 1) % slots].load() != detail::slot_empty)
      ++length;
    lengths.push_back(length);
  }
  return lengths;
}

double mean(const std::vector<std::size_t>& of) {
  double sum = 0;
  for (const std::size_t each : of) sum += static_cast<double>(each);
  return sum / static_cast<double>(of.size());
}

// The default capacity nearly full, each name replaced a hundred times.
TEST(directory_churn, misses_stay_short) {
  segment seg = segment::anonymous();
  population names(seg, 1000);
  const double fresh = mean(lengths_of_misses(seg));
  for (int i = 0; i < 100'000; ++i) names.replace_one();
  const auto lengths = lengths_of_misses(seg);
  EXPECT_LT(mean(lengths), 2 * fresh);
  EXPECT_LT(*std::max_element(lengths.begin(), lengths.end()), 200U);
  for (const std::string& each : names.names()) ASSERT_NE(seg.find<thing>(each), nullptr) << each;
  EXPECT_EQ(seg.find<thing>("never there"), nullptr);
}

// Small indexes, in which runs go over the end: nothing is lost, and nothing is left removed once
// all have gone.
TEST(directory_churn, in_a_small_index_nothing_is_lost_and_nothing_left) {
  for (std::uint32_t capacity = 1; capacity <= 16; ++capacity) {
    segment_options options = few_of_everything();
    options.directory_capacity = capacity;
    segment seg = segment::anonymous(options);
    population names(seg, capacity);
    for (int i = 0; i < 2000; ++i) {
      names.replace_one();
      for (const std::string& each : names.names())
        ASSERT_NE(seg.find<thing>(each), nullptr) << each << " of " << capacity;
    }
    for (const std::string& each : names.names()) EXPECT_TRUE(seg.destroy<thing>(each));
    for (const std::size_t length : lengths_of_misses(seg)) EXPECT_EQ(length, 1U);
  }
}

// All slots removed, as an index can be that was overwritten: the next removal mends it.
TEST(directory_churn, an_index_without_an_empty_slot_is_mended) {
  segment seg = segment::anonymous();
  population names(seg, 500);
  const auto mapped = detail::segment_access::mapping_of(seg);
  for (std::size_t at = 0; at < mapped->layout().index_slots; ++at) {
    auto& slot = mapped->index()[at];
    if (slot.load() == detail::slot_empty) slot.store(detail::slot_removed);
  }
  names.replace_one();
  EXPECT_LT(mean(lengths_of_misses(seg)), 8);
  for (const std::string& each : names.names()) ASSERT_NE(seg.find<thing>(each), nullptr) << each;
}

TEST(directory_churn, look_ups_meanwhile_miss_nothing_that_is_there) {
  segment_options options;
  options.directory_capacity = 32;  // 64 slots: long runs
  segment seg = segment::anonymous(options);
  std::vector<std::string> staying;
  std::atomic<long> looks{0};
  std::atomic<bool> stop{false};
  population before(seg, 8);  // in the way of those that stay, then gone
  for (int i = 0; i < 12; ++i) {
    staying.push_back("stays " + std::to_string(i));
    seg.find_or_construct<thing>(staying.back());
  }
  std::thread reader([&] {
    while (!stop) {
      for (const std::string& each : staying) EXPECT_NE(seg.find<thing>(each), nullptr) << each;
      EXPECT_EQ(seg.find<thing>("never there"), nullptr);
      ++looks;
    }
  });
  const deadline end(default_timeout());
  for (long i = 0; (i < 200'000 || looks < 1000) && !end.passed(); ++i) before.replace_one();
  stop = true;
  reader.join();
  EXPECT_GE(looks, 1000);
}

}  // namespace
}  // namespace outlive::testing
