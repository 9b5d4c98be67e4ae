// What a case does with its segment: operations of the library by name, each of them bounded in
// time, and what may come of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace outlive::fuzz {

// One that something is wrong with: an exception of a kind that no header promises, a repair that
// was called for other memory.
struct wrong {
  std::string what;
};

// The operations, "lock account", "problems"...
const std::vector<std::string>& all_operations();
// Operations that fail, each in its own way: what the fuzzer must find.
const std::vector<std::string>& all_failures();

class expectations;

// Opens the segment behind the descriptor, and does these. `begins` is called with the number of
// each. Throws wrong. An error of outlive is well.
void run_operations(int fd, const expectations& expected, const std::vector<std::string>& acts,
                    void (*begins)(std::size_t));

}  // namespace outlive::fuzz
