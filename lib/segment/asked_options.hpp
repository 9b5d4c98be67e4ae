// What open_or_create() asks for, against what the segment that exists has.
#pragma once

#include <string>

#include <outlive/segment.hpp>

#include "format/layout.hpp"
#include "sys/shared_memory.hpp"

namespace outlive::detail {

// An option that is left at its default asks for nothing. A number of bytes or places asks for at
// least so many, `mode` for at least these permissions; `attempts` and `readers` must be as asked.
// Throws errc::options_differ, which names each option that is not met, with both values.
void check_asked_options(const std::string& context, const segment_constants& found,
                         const shared_memory::file_info& file, const segment_options& asked);

}  // namespace outlive::detail
