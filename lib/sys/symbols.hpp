// Names of functions and types, as people write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <outlive/detail/export.hpp>

namespace outlive::detail {

// A mangled name as it is in the source; unchanged if it is not one, or was cut.
std::string demangled(std::string_view name);

// The function that contains `offset` in the ELF file `path`, from the file's symbol table. Empty
// if there is none, or if the file's build id is not `build_id` (an empty one fits every file).
struct found_symbol {
  std::string name;          // demangled
  std::uint64_t offset = 0;  // from the function's first byte
};
OUTLIVE_API found_symbol function_at(const std::string& path, std::string_view build_id,
                                     std::uint64_t offset);

}  // namespace outlive::detail
