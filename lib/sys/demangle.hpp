// Names of types and functions as people write them.
#pragma once

#include <string>
#include <string_view>

namespace outlive::detail {

// The name that the compiler made of it, as in the source; as it is where it is none, or was cut.
std::string demangled(std::string_view name);

}  // namespace outlive::detail
