// A thread's first use of a segment: it claims a thread record, and recovers what the dead hold if there is none left.
#pragma once

#include <memory>

#include "segment/thread_slot.hpp"

namespace outlive::detail {

// The calling thread's attachment to the segment; claims a record if it has none. The slot is off afterwards.
// Throws errc::no_robust_list, too_many_threads, too_many_participants, wrong_pid_namespace.
attachment& attach_this_thread(const std::shared_ptr<mapping>& where);

// The same, with a spare record if there is no other: for recovery, which must work when all others belong to dead threads (U3).
// A spare is given back by give_back_spare().
attachment& attach_for_recovery(const std::shared_ptr<mapping>& where);
void give_back_spare(attachment& mine) noexcept;

}  // namespace outlive::detail
