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
// Those that need the segment's name: commands of the tool, "outlive show --json", which is run,
// and segment::open().
const std::vector<std::string>& operations_by_name();
[[nodiscard]] bool needs_name(const std::string& operation);
[[nodiscard]] bool is_of_tool(const std::string& operation);
// Whether this build has the tool. If not, its commands do nothing.
[[nodiscard]] bool has_tool();
// Operations that fail, each in its own way: what the fuzzer must find.
const std::vector<std::string>& all_failures();

class expectations;

struct segment_file {
  int fd;
  std::string name;  // empty: it has none
};

// Opens the segment, by its name if it has one, and does these. `begins` is called with the number
// of each. Throws wrong. An error of outlive is well; of a segment that cannot be opened only what
// needs its name is done.
void run_operations(const segment_file& file, const expectations& expected,
                    const std::vector<std::string>& acts, void (*begins)(std::size_t));

}  // namespace outlive::fuzz
