// companion_watch: which thread has which job and which permits, by looks at the queues and permit
// pools of the segment.
//
// To find them is a walk over all objects. It is repeated only when the directory has changed.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <optional>
#include <vector>

#include <outlive/segment.hpp>
#include <outlive/segment_view.hpp>
#include <outlive/supervisor.hpp>

#include "inspect/directory_rest.hpp"
#include "mapping/mapping.hpp"

namespace outlive::detail {

// What a thread has, or waits for.
struct seen_hold {
  hold_times::hold of;  // its mutex_offset: of the mutex, of the job's slot, of the pool
  held_kind kind = held_kind::mutex;
  auto operator<=>(const seen_hold&) const noexcept = default;
};

class companion_watch {
 public:
  companion_watch(const segment& seg, const mapping& map) : view_(seg), map_(map) {}

  // Errors: those of segment_view.
  void sample();

  // Jobs and permits that living threads had at the last sample; all permits of one pool that a
  // thread has are one hold.
  [[nodiscard]] const std::vector<seen_hold>& holds() const noexcept { return holds_; }
  // The records of the threads that had all permits of a pool; none if there was a free one, or if
  // no pool is there.
  [[nodiscard]] std::vector<std::uint32_t> holders_of_all(std::uint64_t pool) const;

  // Whether a thread still has what an earlier sample saw.
  [[nodiscard]] bool still_holds(const seen_hold& seen) const;

 private:
  struct taken_pool {
    std::uint64_t offset = 0;
    std::vector<std::uint32_t> holders;
  };
  void find_objects();
  void add_job(const viewed_job& job);

  segment_view view_;
  const mapping& map_;
  std::optional<directory_rest> found_at_;  // when objects were last looked for
  std::vector<std::uint64_t> queues_, pools_;
  std::vector<seen_hold> holds_;
  std::vector<taken_pool> taken_pools_;
};

}  // namespace outlive::detail
