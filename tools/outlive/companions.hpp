// Work queues and permit pools of a segment, as tables, and how long jobs are leased.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <outlive/segment_view.hpp>

#include "table.hpp"

namespace companions {

// What was read from a segment. Two looks, some time apart, say how long jobs are leased.
struct look {
  std::vector<outlive::viewed_queue> queues;
  std::vector<outlive::viewed_permit_pool> pools;
  outlive::hold_times leases, permits;

  void read(const outlive::segment_view& view);
};

// Returns: "jobs", or "office+0x40" for a queue or pool that is not the first thing in its object.
template <class Seen>
[[nodiscard]] std::string name_of(const Seen& seen) {
  return seen.offset_in_object == 0 ? seen.object : seen.object + "+" + hex(seen.offset_in_object);
}

// A job that a living thread has.
struct lease {
  const outlive::viewed_job* job = nullptr;  // nullptr: no job is leased
  std::optional<std::chrono::nanoseconds> time;
};
// Returns: the lease that was seen for the longest; of several the one that is first in the queue.
[[nodiscard]] lease oldest_lease(const outlive::viewed_queue& queue, const look& in);
// Returns: how many jobs were leased for the whole time between the first look and the last.
[[nodiscard]] std::size_t count_hung(const outlive::viewed_queue& queue, const look& in);

[[nodiscard]] table queue_table(const look& of);
[[nodiscard]] table pool_table(const look& of);
// The jobs that threads died on.
[[nodiscard]] std::vector<column> fatal_job_columns();
[[nodiscard]] table fatal_job_table(const std::vector<outlive::viewed_queue>& queues);

}  // namespace companions
