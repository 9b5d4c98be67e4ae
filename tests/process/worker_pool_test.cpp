// The parts of the showcase whose faults a run under random kills shows only now and then.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "worker_pool/table.hpp"
#include "worker_pool/text.hpp"

namespace {

using namespace pool;

std::uint64_t count_in(const shard& table, std::string_view word) {
  std::uint64_t count = 0;
  for (const slot& one : table.slots()) {
    if (one.word() == word) count += one.count;
  }
  return count;
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
  for (int i = 0; i < 20000; ++i)
    whole += "word_" + std::to_string(i % 777) + (i % 3 == 0 ? "\n" : ", ");
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
