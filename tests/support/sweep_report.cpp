// What kill points and sweeps say of themselves.
#include <string>

#include "support/single_step.hpp"
#include "support/where.hpp"

namespace outlive::testing {

std::string kill_point::describe() const {
  std::ostringstream out;
  out << (died ? "kill point " : "survivor, point ") << index << ": "
      << (asleep ? "asleep in " : "") << describe_address(pc);
  return out.str();
}

std::string sweep_result::describe() const {
  std::ostringstream out;
  out << length << " instructions, ";
  if (states != 0) out << states << " visible states, ";
  if (preempted != 0) out << preempted << " points of interruption, ";
  out << deaths << " kill points (" << asleep << " asleep in a system call, " << accelerated
      << " by a breakpoint), " << diverged << " runs repeated, the path recorded "
      << recorded_anew + 1 << (recorded_anew == 0 ? " time" : " times") << ", the last victim "
      << (last_survived ? "survived" : "did not survive");
  return out.str();
}

}  // namespace outlive::testing
