// Modules: the executable and the shared libraries of this process, by which others can name its
// addresses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <outlive/detail/export.hpp>

namespace outlive::detail {

struct loaded_module {
  std::uint64_t base;   // an address minus this is the module's own
  std::uint64_t begin;  // lowest loaded address
  std::uint64_t end;    // behind the highest one
  std::string_view path;
  // raw bytes, at most 20 of them
  std::string_view build_id;
  // a copy of this library is in it
  bool has_outlive = false;
  // address of its .eh_frame_hdr, for unwinding; 0: none
  std::uint64_t frame_header = 0;
};

// Makes the mutex of for_each_module(). To be made before any other mutex that is held over a fork
// and under which that function is called, because a fork locks the newest mutex first.
void prepare_modules();

// Calls visit(module, context) for each module until it returns false. Throws what visit throws.
OUTLIVE_API void for_each_module(bool (*visit)(const loaded_module&, void*), void* context);

// The other modules that contain a copy of this library, separated by ", "; empty if there are
// none.
std::string other_copies();
// The module that this copy is in.
std::string this_copy();

}  // namespace outlive::detail
