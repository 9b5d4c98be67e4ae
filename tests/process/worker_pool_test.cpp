// The parts of the showcase whose faults a run under random kills shows only now and then.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "worker_pool/table.hpp"
#include "worker_pool/text.hpp"
#include "worker_pool/work_list.hpp"

namespace {

using namespace pool;

constexpr std::uint32_t first_worker = 1;
constexpr std::uint32_t second_worker = 2;

std::uint64_t count_in(const shard& table, std::string_view word) {
  std::uint64_t count = 0;
  for (const slot& one : table.slots()) {
    if (one.word() == word) count += one.count;
  }
  return count;
}

// The end must not be a pass that the living have come to, but one that nobody ever was beyond.
TEST(work_list, last_victim_was_ahead_of_all_its_pass_is_counted_to_the_end) {
  work_list list;
  list.begin(2, work_list::endless);
  for (std::uint32_t chunk = 0; chunk < 2; ++chunk) list.finish(list.take(first_worker).value());
  ASSERT_EQ(list.take(first_worker)->pass, 2u);  // and merges half of it, and dies
  list.put_back(first_worker);

  EXPECT_EQ(list.end_with_current_pass(), 2u);
  EXPECT_FALSE(list.all_done());
  for (std::uint32_t chunk = 0; chunk < 2; ++chunk) {
    const auto at = list.take(second_worker);
    ASSERT_TRUE(at);
    EXPECT_EQ(at->pass, 2u);
    list.finish(*at);
  }
  EXPECT_FALSE(list.take(second_worker));
  EXPECT_TRUE(list.all_done());
}

TEST(work_list, chunk_of_a_dead_worker_is_handed_out_for_the_same_pass) {
  work_list list;
  list.begin(1, 1);
  const auto at = list.take(first_worker);
  ASSERT_TRUE(at);
  EXPECT_FALSE(list.take(second_worker));
  list.put_back(first_worker);
  const auto again = list.take(second_worker);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->chunk, at->chunk);
  EXPECT_EQ(again->pass, at->pass);
}

TEST(shard, chunk_that_comes_again_is_turned_down) {
  const auto table = std::make_unique<shard>();
  const std::vector<counted_word> words{{"one", 1}, {"three", 3}};
  table->merge(7, 1, words);
  table->merge(7, 1, words);
  EXPECT_EQ(count_in(*table, "three"), 3u);
  table->merge(7, 2, words);
  table->merge(7, 1, words);
  EXPECT_EQ(count_in(*table, "three"), 6u);
  table->merge(8, 1, words);
  EXPECT_EQ(count_in(*table, "one"), 3u);
}

TEST(text, chunks_together_have_the_words_of_the_whole) {
  std::string whole;
  for (int i = 0; i < 20000; ++i) whole += "word_" + std::to_string(i % 777) + (i % 3 == 0 ? "\n" : ", ");
  whole += std::string(10000, 'x');  // longer than a chunk
  word_counts sum;
  std::string joined;
  for (const std::string_view chunk : cut(whole)) {
    EXPECT_FALSE(chunk.empty());
    joined += chunk;
    for (const auto& [word, count] : count_words(chunk)) sum[word] += count;
  }
  EXPECT_EQ(joined, whole);
  EXPECT_EQ(sum, count_words(whole));
  EXPECT_EQ(sum.count(std::string(longest_word, 'x')), 1u);
}

}  // namespace
