// The end: the table against the plain count, word by word, and the figures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker_pool/parent.hpp"
#include "worker_pool/shared.hpp"
#include "worker_pool/text.hpp"

namespace pool {

struct difference {
  std::string word;
  std::uint64_t expected;
  std::uint64_t found;
};

// Returns: the words that do not stand in the table exactly once with `passes` times their plain
//   count, by the alphabet.
[[nodiscard]] std::vector<difference> compare(shared& all, const word_counts& plain,
                                              std::uint32_t passes);

struct summary {
  const options& wishes;
  const text& input;
  const word_counts& plain;
  std::size_t chunks;
  const figures& done;
  const std::vector<difference>& differences;
  [[nodiscard]] bool good() const noexcept { return differences.empty() && done.unanswered == 0; }
};

void print(const summary& result);
// For a bug hunt: the first words that differ, and the last deaths of the segment's death log.
void print_differences(const summary& result, const outlive::segment& seg);
void print_json(const summary& result);

}  // namespace pool
