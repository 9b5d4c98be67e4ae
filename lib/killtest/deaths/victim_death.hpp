// victim_death: a process whose victim runs up to a store, and then dies in a given way.
#pragma once

#include <chrono>
#include <string>

#include <outlive/killtest/death_kinds.hpp>

#include "killtest/process/memory_group.hpp"
#include "killtest/state/segment_copy.hpp"
#include "killtest/survivor/workload.hpp"

namespace outlive::killtest::detail {

class victim_death {
 public:
  // Starts the process on a copy of the segment, and waits for the death. `group` only for
  // death_kind::memory_limit. Throws std::system_error.
  victim_death(death_kind kind, segment& seg, const segment_copy& copy, const workload& what,
               std::size_t stores, const memory_group* group, std::chrono::milliseconds limit);
  // Ends the process, if it lives on.
  ~victim_death();
  victim_death(const victim_death&) = delete;
  victim_death& operator=(const victim_death&) = delete;

  // What did not go as expected; empty if the victim died in that way.
  [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

 private:
  int pid_ = 0;
  int hold_ = -1;  // a process that lives on ends when this is closed
  std::string fault_;
};

}  // namespace outlive::killtest::detail
