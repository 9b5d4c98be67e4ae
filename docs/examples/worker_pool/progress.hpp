// The progress line: rewritten in place on a terminal, once a second elsewhere. And the watch on a
// pool that stalls.
#pragma once

#include <chrono>
#include <cstdint>

namespace pool {

class progress {
 public:
  explicit progress(std::uint64_t kills_wanted);
  ~progress();  // wipes the line

  // Errors: std::runtime_error when `chunks` has not grown for stall_limit.
  void show(std::uint64_t kills, std::uint64_t holding, std::uint64_t chunks);

  static constexpr std::chrono::seconds stall_limit{30};

 private:
  using clock = std::chrono::steady_clock;
  std::uint64_t kills_wanted_;
  bool terminal_;
  bool shown_ = false;
  clock::time_point next_;
  std::uint64_t last_chunks_ = 0;
  clock::time_point last_growth_;
};

}  // namespace pool
