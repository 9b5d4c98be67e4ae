// Random cases, by seed and number; what is found is shrunk and kept in a file.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>
#include <string>

#include "fuzz/trial.hpp"

namespace outlive::fuzz {

struct campaign_options {
  std::uint64_t seed = 1;
  std::chrono::seconds time{0};  // 0: without a limit of time
  std::uint64_t cases = 0;       // 0: without a limit of cases
  unsigned jobs = 2;
  std::string into = "fuzz-findings";  // a folder, made when something is found
  bool keep_going = true;              // after a finding
};

// The case of that number: the same for the same seed and scenes.
[[nodiscard]] fuzz_case make_case(const world& with, std::uint64_t seed, std::uint64_t number);

// The fewest changes and operations that still fail in the same way.
[[nodiscard]] fuzz_case shrink(trial& in, fuzz_case failing, const std::string& kind);

// Returns: how many kinds of failures were found; prints progress and what was found.
[[nodiscard]] unsigned run_campaign(const world& with, const campaign_options& options);

}  // namespace outlive::fuzz
