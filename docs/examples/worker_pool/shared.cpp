#include "worker_pool/shared.hpp"

#include <string>

namespace pool {

namespace {

outlive::segment_options options_for(std::size_t shards) {
  constexpr std::size_t name_and_padding = 1024;
  outlive::segment_options options;
  options.size = shards * (sizeof(outlive::guarded<shard>) + name_and_padding) +
                 sizeof(*shared::jobs) + (1u << 18);
  options.directory_capacity = static_cast<std::uint32_t>(shards) + 16;
  // As many as possible: heirs are killed, too, and each of them uses up an attempt, although the
  // repair is sound.
  options.attempts = 63;
  return options;
}

}  // namespace

shared::shared(std::size_t shard_count)
    : segment(outlive::segment::anonymous(options_for(shard_count))) {
  // Repairs before locks: after its first lock a process may become an heir.
  repair_ = outlive::on_owner_death<shard>(
      segment, "shard", [this](shard& damaged, const outlive::owner_death& death) {
        my_seat().now = activity::repairing;
        const auto result = damaged.repair(death);
        my_seat().now = activity::counting;
        return result;
      });

  seats_ = &segment.find_or_construct<seats>("seats");
  jobs = &segment.find_or_construct<outlive::work_queue<task, max_chunks>>(
      "jobs", outlive::work_queue_options{.max_tries = 8});
  for (std::size_t i = 0; i < shard_count; ++i) {
    shards.push_back(
        &segment.find_or_construct<outlive::guarded<shard>>("shard " + std::to_string(i), "shard"));
  }
}

}  // namespace pool
