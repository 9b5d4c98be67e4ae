// Modules: the executable and the shared libraries of this process, so that others can tell an
// address of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <outlive/detail/export.hpp>

namespace outlive::detail {

struct loaded_module {
  std::uint64_t base;   // what to take off an address to get the module's own
  std::uint64_t begin;  // of its lowest and highest loaded byte
  std::uint64_t end;
  std::string_view path;
  // raw bytes, at most 20 of them
  std::string_view build_id;
  // a copy of this library is in it
  bool has_outlive = false;
  // address of its .eh_frame_hdr, by which it is unwound; 0: it has none
  std::uint64_t frame_header = 0;
};

// Makes the mutex of for_each_module(): before any other that is held over a fork and in which that
// is called, because a fork takes the newest mutex first.
void prepare_modules();

// Calls visit(module, context) for each module; it stops when visit returns false. Throws what
// visit throws.
OUTLIVE_API void for_each_module(bool (*visit)(const loaded_module&, void*), void* context);

// The modules other than this one that have a copy of this library in them, with ", " between;
// empty where none says so.
std::string other_copies();
// The module that this copy is in.
std::string this_copy();

}  // namespace outlive::detail
