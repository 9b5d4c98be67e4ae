// A worker: takes a chunk from the queue, counts its words by itself, merges them into the shards,
// and only then acknowledges the job.
//
// It can be killed at any instruction, and does nothing about it: its chunk comes again by itself,
// and the shards' repair handles a half merged one.
#pragma once

#include <string_view>
#include <vector>

#include "worker_pool/shared.hpp"

namespace pool {

// Works until it gets `no_chunk`. Returns: the exit code of the process.
[[nodiscard]] int work(shared& all, const std::vector<std::string_view>& chunks,
                       unsigned number) noexcept;

}  // namespace pool
