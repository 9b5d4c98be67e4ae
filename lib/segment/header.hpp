// The header's constants: made from options, and checked before anything else of a segment is
// trusted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <outlive/segment.hpp>

#include "format/layout.hpp"
#include "sys/shared_memory.hpp"

namespace outlive::detail {

// Architecture, pointer size, libc family, size of the native mutex and of a cache line. Processes
// share a segment only if theirs are equal.
std::uint64_t abi_signature() noexcept;
std::string describe_abi(std::uint64_t signature);

// Complete except for tie_to_file(). Throws std::errc::invalid_argument for an option out of its
// range, errc::no_membarrier, and as own_surroundings().
segment_constants make_constants(std::string_view name, const segment_options& options);

// Ties the segment to this file, so that a copy is recognised. Requires: nobody else has the file
// yet.
void tie_to_file(segment_constants& made, const shared_memory::file_info& file) noexcept;

segment_options options_of(const segment_constants& constants) noexcept;

// Reads and checks the constants of an existing segment. Throws errc::damaged, version_mismatch,
// abi_mismatch, wrong_pid_namespace, no_proc; std::system_error if no descriptor is free.
segment_constants read_constants(const std::string& context, int fd,
                                 const shared_memory::file_info& file);

// Initialises the regions of a new segment that are not zero. Requires: nobody else has it.
void fill_new_segment(void* base, const segment_constants& constants);

}  // namespace outlive::detail
