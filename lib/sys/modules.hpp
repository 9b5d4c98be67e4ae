// Modules: the executable and the shared libraries of this process, so that others can tell an address of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace outlive::detail {

struct loaded_module {
  std::uint64_t base;   // what to take off an address to get the module's own
  std::uint64_t begin;  // of its lowest and highest loaded byte
  std::uint64_t end;
  std::string_view path;
  std::string_view build_id;  // raw bytes, at most 20 of them
};

// Calls visit(module, context) for each module; it stops when visit returns false. Throws what visit throws.
void for_each_module(bool (*visit)(const loaded_module&, void*), void* context);

// How many modules were ever loaded: it changes when one was added.
std::uint64_t modules_ever_loaded() noexcept;

// Name of the function that contains `offset` in the ELF file `path`, if the file's build id is `build_id` (or that is empty). From
// the file's symbol table, demangled; empty where there is none. Believes nothing that stands in the file.
std::string symbol_at(const std::string& path, std::string_view build_id, std::uint64_t offset);

}  // namespace outlive::detail
