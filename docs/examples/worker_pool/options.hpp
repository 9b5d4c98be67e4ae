// The command line.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace pool {

inline constexpr unsigned most_workers = 64;

struct options {
  std::vector<std::string> paths;
  unsigned workers = 4;
  unsigned kills = 200;
  std::uint64_t seed = 0;  // drawn if not given
  bool json = false;
  bool help = false;
};

// Thrown for errors that the user can correct; the message says how.
struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Errors: usage_error.
[[nodiscard]] options parse(int argc, char** argv);

[[nodiscard]] const char* usage() noexcept;

}  // namespace pool
