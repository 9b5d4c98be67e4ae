// How fields.cpp and object_fields.cpp name fields.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

// A member of a structure of the format, by its own name.
#define FUZZ_FIELD(prefix, at, type, member) \
  add((prefix) + "." #member, (at) + offsetof(type, member), sizeof(type::member))

namespace outlive::fuzz {

inline std::string numbered(const std::string& name, std::uint64_t index) {
  return name + '[' + std::to_string(index) + ']';
}

}  // namespace outlive::fuzz
