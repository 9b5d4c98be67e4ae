// Participants: the processes attached to a segment, so that a death can be told by command name, module and offset.
#pragma once

#include <cstdint>

#include "segment/mapping.hpp"

namespace outlive::detail::participants {

// Registers this process, or finds its registration. Throws errc::too_many_participants.
// Death at any store: the slot names a dead process and nobody's record refers to it, so the next one takes it.
std::uint32_t join(mapping& where);

// Adds modules that were loaded since; called where a thread claims a record, so that its locks can be told.
void refresh_modules(mapping& where, std::uint32_t index) noexcept;

// Whether some participant of the segment has a thread of that id.
bool has_thread(const mapping& where, std::uint32_t tid) noexcept;

}  // namespace outlive::detail::participants
