// The file of a segment, checked before any of its bytes is read: anybody may have made it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include <outlive/segment.hpp>

#include "sys/shared_memory.hpp"

namespace outlive::detail {

// Empty if there is no file of that name. Throws errc::damaged if it is not a regular file, and the
// system's errors with the segment's name.
file_descriptor open_segment_file(std::string_view name, file_access access);

// Checks that the folder of segments is on a tmpfs. On file systems of a network, a virtual machine
// or an overlay, another process that maps the file may get other memory. Throws
// errc::wrong_file_system, std::system_error.
void check_folder(const std::string& context);

// Checks the kind of file, its file system, owner and permissions. Throws errc::damaged (not a
// regular file), wrong_file_system, wrong_owner, writable_by_others.
void check_access(const std::string& context, const shared_memory::file_info& file,
                  const segment_options& options);

// Checks that it has `size` bytes, and memory for all of them. Even a read through a mapping fills
// a hole, and on a full file system that is SIGBUS. Throws errc::damaged.
void check_extent(const std::string& context, const shared_memory::file_info& file,
                  std::uint64_t size);

// Throws the error of a segment that cannot be opened again: the system's with the segment's name,
// and a damaged segment's with what to do. Requires: a handler of `error` is running.
[[noreturn]] void rethrow_refusal(const std::system_error& error, const std::string& what);

}  // namespace outlive::detail
