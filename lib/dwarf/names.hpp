// names: names of functions and files from debugging information, short enough to read.
#pragma once

#include <elfutils/libdw.h>

#include <string>
#include <string_view>

namespace outlive::dwarf {

// The name of a symbol, mangled or not, without parameters and result: "void
// bank::transfer<int>(int)" is "bank::transfer<int>", and the third lambda in f(int) is
// "f::{lambda#3}". Empty for nullptr.
[[nodiscard]] std::string function_name(const char* symbol);

// Absolute if the unit's folder is known, and without "..": a path that can be opened, the same in
// each unit that includes the file.
[[nodiscard]] std::string file_path(const char* path, const char* folder);
// The folder in which the unit was compiled; nullptr if it is not known.
[[nodiscard]] const char* folder_of(Dwarf_Die* unit);

// Code of the standard library stands between a function and what it is called through.
[[nodiscard]] bool is_of_standard_library(std::string_view file) noexcept;

}  // namespace outlive::dwarf
