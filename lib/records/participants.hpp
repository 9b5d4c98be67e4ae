// Participants: the processes attached to a segment, so that a death can be told by command name,
// module and offset.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "mapping/mapping.hpp"

namespace outlive::detail::participants {

// Registers this process, or finds its registration. Takes the slot of a dead process that no
// record refers to, one that nobody had yet, or in need that of any dead process. Asks the system
// about a few participants only, as long as there is a slot that nobody had. Throws
// errc::too_many_participants. Death at any store: the slot names a dead process, so the next one
// takes it.
std::uint32_t join(mapping& map);

// The index of this process's participant. Registers it when there is none yet, as after a fork.
// Throws errc::too_many_participants.
inline std::uint32_t own_index(mapping& map) {
  return map.participant_index(&join);
}

// Adds modules that were loaded since; called where a thread claims a record, so that its locks can
// be told.
void refresh_modules(mapping& map, std::uint32_t index);

// What a participant's identity says: the pid; whether that is another process's by now; whether
// the process may be alive (false: it is certainly dead).
constexpr pid_t pid_in(std::uint64_t identity) noexcept {
  return static_cast<pid_t>(identity >> 32);
}
bool is_reused(std::uint64_t identity) noexcept;
bool is_alive(std::uint64_t identity) noexcept;

// Whether the participant still is the process of a thread with that pid and start time, and not
// one that has taken the slot since. To be asked after what was read of it.
bool is_process_of(const mapping& map, std::uint32_t index, pid_t pid,
                   std::uint64_t start_time) noexcept;

// Whether some participant of the segment has a thread of that id.
bool has_thread(const mapping& map, std::uint32_t tid) noexcept;

}  // namespace outlive::detail::participants
