// A worker: takes a chunk, counts its words by itself, merges them into the shards, takes the next one.
//
// It can be killed at any instruction. It need not know: what it leaves behind is the shards' repair's and the parent's task.
#pragma once

#include <string_view>
#include <vector>

#include "worker_pool/shared.hpp"

namespace pool {

// Works until no chunk is left. Returns: the exit code of the process.
[[nodiscard]] int work(shared& all, const std::vector<std::string_view>& chunks, unsigned number) noexcept;

}  // namespace pool
