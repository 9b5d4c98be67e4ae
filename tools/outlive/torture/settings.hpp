// What `outlive torture` was asked to do.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace torture {

using std::chrono::nanoseconds;

struct settings {
  std::string segment;
  unsigned workers = 8;
  nanoseconds duration{};
  nanoseconds every = std::chrono::milliseconds(5);  // mean time between two kills
  bool aim = false;
  std::uint64_t seed = 0;
  std::string check;  // empty: none
  nanoseconds check_limit = std::chrono::seconds(60);
  nanoseconds check_every{};  // 0: at the end only
  std::string keep;           // the file for the image of a failure; empty: none
  nanoseconds start_limit = std::chrono::seconds(10);
  nanoseconds grace = std::chrono::seconds(2);
  bool json = false;
  std::vector<std::string> command;
};

}  // namespace torture
