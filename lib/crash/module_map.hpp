// The modules of this process as they were at the last look, for a handler that must not ask the
// dynamic loader: a crash may hold its lock.
#pragma once

#include <cstdint>

namespace outlive::crash {

struct mapped_module {
  std::uint64_t begin;
  std::uint64_t end;
  std::uint64_t frame_header;  // address of .eh_frame_hdr
};

// Looks which modules are loaded. Not in a handler.
void refresh_module_map() noexcept;

// The module with that address; nullptr if none had it. Async-signal-safe.
const mapped_module* module_with(std::uint64_t address) noexcept;

}  // namespace outlive::crash
