// Names of segments, in paths and in messages.
#pragma once

#include <string>
#include <string_view>
#include <system_error>

namespace outlive::detail {

inline constexpr char segment_folder[] = "/dev/shm";

std::string segment_path(std::string_view name);
// For messages: segment "NAME", or anonymous segment
std::string describe_segment(std::string_view name);
// The same for a name from a caller, which may be invalid.
std::string quoted_segment(std::string_view name);
// Throws errc::invalid_name.
void check_segment_name(std::string_view name);
// Throws the system's error again, with the name of its segment. Requires: a handler of `error` is
// running.
[[noreturn]] void rethrow_named(const std::system_error& error, const std::string& what);

}  // namespace outlive::detail
