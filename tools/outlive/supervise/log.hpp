// What `outlive supervise` says: a line for each event, what belongs to it indented below; each
// event at once and in one piece.
#pragma once

#include <outlive/supervisor.hpp>

namespace supervise {

void log(const outlive::participant_death& death);
void log(const outlive::hung_owner& owner);
void log(const outlive::deadlock& found);
void log(const outlive::lost_name& lost);

}  // namespace supervise
