// workload: what a victim or an heir does, both where it is logged and where it is killed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <outlive/killtest/explore.hpp>
#include <outlive/killtest/scenario.hpp>

#include "killtest/stores/page_shadow.hpp"
#include "killtest/stores/store_log.hpp"

namespace outlive::killtest::detail {

// Runs in the process that dies. Nobody is killed in the set-up.
struct workload {
  std::function<std::vector<repair_registration>()> set_up;
  std::function<void()> tested;
  std::optional<std::uint64_t> alone;  // of an heir that recovers one mutex only: its offset
};

[[nodiscard]] workload workload_of_victim(const scenario& what, const explore_options& how,
                                          segment& seg);
// Recovers everything; or `alone`, one mutex of it, as a thread does that happens to need this one.
// Requires: `mutexes` outlives the workload.
[[nodiscard]] workload workload_of_heir(const scenario& what, segment& seg,
                                        const std::vector<std::uint64_t>& mutexes,
                                        std::optional<std::uint64_t> alone);

// Logs the differences between the process's view of the segment and the segment's file, in these
// parts. For the set-up, whose single stores do not count.
void log_differences(store_log& log, const segment& seg, const std::vector<byte_range>& parts);

}  // namespace outlive::killtest::detail
