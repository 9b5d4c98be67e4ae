// names: functions and files as debugging information names them, short enough to be read.
#pragma once

#include <elfutils/libdw.h>

#include <string>
#include <string_view>

namespace outlive::dwarf {

// Of a symbol, mangled or not: "void bank::transfer<int>(int)" is "bank::transfer<int>", and the
// third lambda in f(int) is "f::{lambda#3}".
[[nodiscard]] std::string function_name(const char* symbol);

// Absolute, if the unit's folder is known, and without "..": as one that is opened, and the same
// for each unit that includes it.
[[nodiscard]] std::string file_path(const char* path, const char* folder);
// Where the unit was compiled; nullptr if it is not known.
[[nodiscard]] const char* folder_of(Dwarf_Die* unit);

// The standard library's own code, which stands between a function and what it is called through.
[[nodiscard]] bool is_of_standard_library(std::string_view file) noexcept;

}  // namespace outlive::dwarf
