// An object that holds something ended in a thread that does not have it. If another thread of this
// process does, that is reported (<outlive/misuse.hpp>). All of this is off the fast paths: they
// have found out by then that the caller is not the holder.
#pragma once

#include <cstdint>

#include <outlive/misuse.hpp>

#include "format/object_layout.hpp"
#include "mapping/mapping.hpp"

namespace outlive::detail {

// Returns: whether a living thread of this process, other than the caller, has the record at that
//   life. `mask`: the bits of the generation that are known. It is false in a forked child for the
//   threads of its parent, whatever their ids.
bool is_neighbour(const mapping& map, std::uint64_t index_plus_1, std::uint64_t generation,
                  std::uint64_t mask) noexcept;

// Reports it if is_neighbour(). Returns: whether it did.
bool report_foreign_end(hold_kind kind, const void* object, std::uint64_t index_plus_1,
                        std::uint64_t generation, std::uint64_t mask) noexcept;
// The end of a permit, lease or dead letter whose hold names a thread other than the caller, or one
// of another process: reports it, and counts it for the mapping (outlived_holds.hpp).
void end_foreign_hold(hold_kind kind, const void* object, std::uint64_t index_plus_1,
                      std::uint64_t generation, std::uint64_t mask) noexcept;
// The same of a hold that is void already: reports nothing.
void end_hold_elsewhere(const void* object, std::uint64_t index_plus_1, std::uint64_t generation,
                        std::uint64_t mask) noexcept;
// The same of a mutex, by its state. A guard does not know its thread, so whoever has the mutex is
// reported, and only where no other thread can have made it (stale_guards.hpp).
void report_foreign_guard(const lock_bytes& lock) noexcept;
// The same of a mutex that any threads hold shared. Names the first.
void report_foreign_shared_guard(const shared_lock_bytes& lock) noexcept;

}  // namespace outlive::detail
