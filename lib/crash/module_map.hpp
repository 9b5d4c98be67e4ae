// The modules of this process at the last look. For a handler, which must not ask the dynamic
// loader: the crashed thread may hold its lock.
#pragma once

#include <cstdint>

namespace outlive::crash {

struct mapped_module {
  std::uint64_t begin;
  std::uint64_t end;
  std::uint64_t frame_header;  // address of .eh_frame_hdr
};

// Reads which modules are loaded. Not in a handler.
void refresh_module_map() noexcept;

// The module that contains the address; nullptr if none does. Async-signal-safe.
const mapped_module* module_with(std::uint64_t address) noexcept;

}  // namespace outlive::crash
