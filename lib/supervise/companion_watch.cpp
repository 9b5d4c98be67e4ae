#include "supervise/companion_watch.hpp"

#include <algorithm>

#include "format/job_state.hpp"
#include "inspect/view_companions.hpp"
#include "records/thread_records.hpp"

namespace outlive::detail {

namespace {

// A job's state has the low bits of its holder's generation. Its thread lives, so the record is at
// this life.
std::uint64_t whole_generation(const mapping& map, const hold_times::hold& of) noexcept {
  const std::uint64_t now = thread_records::life(map.record(of.record)).generation();
  return (now & job_generation_mask) == of.generation ? now & generation_bits : of.generation;
}

}  // namespace

void companion_watch::find_objects() {
  // A look before the walk: a change during the walk is another change. And so is one of a thread
  // that is at work now.
  const directory_rest now(map_);
  if (found_at_ && found_at_->lasts_until(now)) return;
  queues_.clear();
  pools_.clear();
  for (const viewed_queue& each : view_.queues()) queues_.push_back(each.offset);
  for (const viewed_permit_pool& each : view_.permit_pools()) pools_.push_back(each.offset);
  found_at_ = now;
}

void companion_watch::add_job(const viewed_job& job) {
  if (!job.holder.known || job.hold.record >= map_.record_count()) return;
  seen_hold seen{job.hold, held_kind::job};
  seen.of.generation = whole_generation(map_, job.hold);
  holds_.push_back(seen);
}

void companion_watch::sample() {
  holds_.clear();
  taken_pools_.clear();
  find_objects();
  // A queue that was destroyed since has another magic, or is no queue any more.
  for (const std::uint64_t offset : queues_) {
    const auto queue = view_queue(map_, offset, map_.size() - offset);
    if (!queue) continue;
    for (const viewed_job& job : queue->jobs) add_job(job);
  }
  for (const std::uint64_t offset : pools_) {
    const auto pool = view_permit_pool(map_, offset, map_.size() - offset);
    if (!pool) continue;
    taken_pool taken{offset, {}};
    for (const viewed_permit_pool::holder& each : pool->holders) {
      taken.holders.push_back(each.hold.record);
      if (each.known) holds_.push_back({each.hold, held_kind::permit});
    }
    if (pool->free == 0) taken_pools_.push_back(std::move(taken));
  }
}

std::vector<std::uint32_t> companion_watch::holders_of_all(std::uint64_t pool) const {
  const auto found = std::find_if(taken_pools_.begin(), taken_pools_.end(),
                                  [&](const taken_pool& each) { return each.offset == pool; });
  return found == taken_pools_.end() ? std::vector<std::uint32_t>{} : found->holders;
}

bool companion_watch::still_holds(const seen_hold& seen) const {
  const std::uint64_t offset = seen.of.mutex_offset;
  if (seen.kind == held_kind::job) {
    // The word names the holder, and changes with each lease.
    const auto& word = *reinterpret_cast<const shared_u64*>(map_.base() + offset);
    return word.load(std::memory_order_acquire) == seen.of.acquisitions;
  }
  const auto pool = view_permit_pool(map_, offset, map_.size() - offset);
  return pool && std::any_of(pool->holders.begin(), pool->holders.end(), [&](const auto& each) {
           return each.hold.record == seen.of.record && each.hold.generation == seen.of.generation;
         });
}

}  // namespace outlive::detail
