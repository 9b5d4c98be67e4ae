// What the keys of `outlive top` do, and what its columns mean.
#pragma once

#include <string>
#include <vector>

namespace top {

[[nodiscard]] std::vector<std::string> help_lines();

}  // namespace top
