// Participants: the processes attached to a segment. They let a report name the command of a dead
// thread, and modules and offsets.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "mapping/mapping.hpp"

namespace outlive::detail::participants {

// Registers this process, or finds its registration. Claims the slot of a dead process that no
// record refers to, then an unused slot, and if need be the slot of any dead process. While there
// is an unused slot it checks only a few participants. Throws errc::too_many_participants. A death
// at any store leaves a slot that names a dead process, which the next one claims.
std::uint32_t join(mapping& map);

// The index of this process's participant. Registers it when there is none yet, as after a fork.
// Throws errc::too_many_participants.
inline std::uint32_t own_index(mapping& map) {
  return map.participant_index(&join);
}

// Adds modules that were loaded since. Called when a thread claims a record, so that a report can
// name the places of its locks.
void refresh_modules(mapping& map, std::uint32_t index);

// The identity of a process: its pid, and the low half of its start time.
std::uint64_t identity_of(pid_t pid, std::uint64_t start_time) noexcept;
// What a participant's identity says: the pid; whether that is another process's by now; whether
// the process may be alive (false: it is certainly dead).
constexpr pid_t pid_in(std::uint64_t identity) noexcept {
  return static_cast<pid_t>(identity >> 32);
}
bool is_reused(std::uint64_t identity) noexcept;
bool is_alive(std::uint64_t identity) noexcept;

// Whether the participant still is the process of a thread with that pid and start time, and no
// later process has claimed the slot. Call it after reading the participant.
bool is_process_of(const mapping& map, std::uint32_t index, pid_t pid,
                   std::uint64_t start_time) noexcept;

// Whether some participant of the segment has a thread of that id.
bool has_thread(const mapping& map, std::uint32_t tid) noexcept;

}  // namespace outlive::detail::participants
