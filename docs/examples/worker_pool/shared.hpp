// What the pool shares: one segment, and in it the queue of jobs, the shards of the table and a
// seat for each worker.
//
// The parent makes it before it forks. The workers inherit the mapping, the addresses and the
// registered repairs, so that each of them, and the parent, can be the heir of any other.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include <outlive/guarded.hpp>
#include <outlive/repair.hpp>
#include <outlive/segment.hpp>
#include <outlive/work_queue.hpp>

#include "worker_pool/options.hpp"
#include "worker_pool/table.hpp"
#include "worker_pool/text.hpp"

namespace pool {

// A job: a chunk of the text, to be counted for the pass of that number, which counts from 1. A
// worker that gets `no_chunk` ends.
struct task {
  std::uint32_t chunk;
  std::uint32_t pass;
};
inline constexpr std::uint32_t no_chunk = 0xffffffff;

enum class activity : std::uint32_t {
  // or anything else: no shard is in danger
  counting,
  // stored after the shard's lock was acquired, cleared before it is released: a worker that dies
  // with it holds a shard
  merging,
  // stored and cleared inside the repair
  repairing,
};

// What one worker reports to the parent. Written by the worker alone; without a lock, because only
// kills and figures depend on it.
struct alignas(64) seat {
  std::atomic<activity> now{activity::counting};
  std::atomic<std::uint64_t> chunks{0};  // finished by all workers that sat here
};

class shared {
 public:
  // Errors: those of outlive::segment::anonymous(), no_space above all.
  explicit shared(std::size_t shards);
  shared(const shared&) = delete;  // the repairs point to it
  shared& operator=(const shared&) = delete;

  outlive::segment segment;
  // It only steers the workers. That each chunk is counted exactly once in each pass is the shards'
  // promise (table.hpp, INV-2): a job that comes again because its worker died after it had merged
  // costs time, and changes nothing.
  outlive::work_queue<task, max_chunks>* jobs;
  std::vector<outlive::guarded<shard>*> shards;

  [[nodiscard]] seat& seat_of(unsigned number) noexcept { return (*seats_)[number]; }
  [[nodiscard]] seat& my_seat() noexcept { return seat_of(my_number_); }
  // After fork. The parent has number 0, the workers have 1, 2, 3 ...
  void sit_down(unsigned number) noexcept { my_number_ = number; }

 private:
  using seats = std::array<seat, most_workers + 1>;
  seats* seats_;
  unsigned my_number_ = 0;
  outlive::repair_registration repair_;
};

// The breadcrumb that a worker leaves: its present task.
[[nodiscard]] constexpr std::uint64_t note_of(task at) noexcept {
  return std::uint64_t{at.pass} << 32 | at.chunk;
}
[[nodiscard]] constexpr task task_of(std::uint64_t note) noexcept {
  return {static_cast<std::uint32_t>(note), static_cast<std::uint32_t>(note >> 32)};
}

}  // namespace pool
