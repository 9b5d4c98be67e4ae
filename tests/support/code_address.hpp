// Describes a code address of this program, or of one forked from it.
#pragma once

#include <cstdint>
#include <string>

namespace outlive::testing {

/// "liboutlive.so.0+0x4a10 (pthread_mutex_lock+0x20)": module + offset is what addr2line needs; the
/// nearest dynamic symbol follows if there is one.
std::string describe_address(std::uintptr_t address);

}  // namespace outlive::testing
