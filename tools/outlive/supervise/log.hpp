// What `outlive supervise` prints: a line for each event, its details indented below. Each event is
// written at once and in one piece.
#pragma once

#include <outlive/supervisor.hpp>

namespace supervise {

void log(const outlive::participant_death& death);
void log(const outlive::hung_owner& owner);
void log(const outlive::deadlock& found);
void log(const outlive::lost_name& lost);

}  // namespace supervise
