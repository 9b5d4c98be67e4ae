// The file of a segment, and what the file system tells of it: judged before any of its bytes is
// read. Anybody may have made what lies there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <outlive/segment.hpp>

#include "sys/shared_memory.hpp"

namespace outlive::detail {

enum class file_access { read_only, read_write };

// Empty when there is no file of that name. Throws errc::damaged for what is no regular file, else
// the system's errors with the segment's name.
file_descriptor open_segment_file(std::string_view name, file_access access);

// That segments are made where others see their locks. On a network's, a virtual machine's or an
// overlay file system another one that maps the file may get other memory. Throws
// errc::wrong_file_system, std::system_error.
void check_folder(const std::string& context);

// What it is, where it lies, and who may use it: its owner and permissions. Throws errc::damaged
// (no regular file), wrong_file_system, wrong_owner, writable_by_others.
void check_access(const std::string& context, const shared_memory::file_info& file,
                  const segment_options& options);

// That it has `size` bytes, and memory for all of them. A hole is filled by a mere look at it
// through a mapping, and on a full file system that look is SIGBUS. Throws errc::damaged.
void check_extent(const std::string& context, const shared_memory::file_info& file,
                  std::uint64_t size);

}  // namespace outlive::detail
