// Numbers for people: "0x2a", for names of files all 16 digits without "0x", and a file's mode,
// "0644".
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace outlive::detail {

inline std::string hex(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

inline std::string hex_16(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

inline std::string octal(unsigned mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", mode);
  return text;
}

}  // namespace outlive::detail
