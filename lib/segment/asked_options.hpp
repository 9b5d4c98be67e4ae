// Compares the options of open_or_create() with those of the existing segment.
#pragma once

#include <string>

#include <outlive/segment.hpp>

#include "format/layout.hpp"
#include "sys/shared_memory.hpp"

namespace outlive::detail {

// An option with its default value asks for nothing. Sizes and counts ask for at least so much,
// `mode` for at least these permissions; `attempts` and `readers` must be equal. Throws
// errc::options_differ, which names each option that is not met, with both values.
void check_asked_options(const std::string& context, const segment_constants& found,
                         const shared_memory::file_info& file, const segment_options& asked);

}  // namespace outlive::detail
