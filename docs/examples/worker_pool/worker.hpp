// A worker: takes a chunk from the queue, counts its words by itself, merges them into the shards,
// and only then says that it is done.
//
// It can be killed at any instruction. It need not know: its chunk comes again by itself, and a
// half merged one is the shards' repair's task.
#pragma once

#include <string_view>
#include <vector>

#include "worker_pool/shared.hpp"

namespace pool {

// Works until it is told to end. Returns: the exit code of the process.
[[nodiscard]] int work(shared& all, const std::vector<std::string_view>& chunks,
                       unsigned number) noexcept;

}  // namespace pool
