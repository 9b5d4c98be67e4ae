// The work list: which chunk has been counted how often, and who is at it. One lock guards it.
//
// It only steers the workers. That each chunk is counted exactly once in each pass is the shards' promise (table.hpp,
// INV-2): a chunk that is handed out once more than needed costs time and changes nothing.
//
// Each change is one store of one aligned word, and where it takes two, the first one alone does no harm. So the list is
// right after every single store, whoever is killed when, and its repair is outlive::always_consistent.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "worker_pool/text.hpp"

namespace pool {

struct task {
  std::uint32_t chunk;
  std::uint32_t pass;  // counts from 1
};

class work_list {
 public:
  static constexpr std::uint32_t endless = 0xffffffff;

  // Requires, as all that follows: the lock. All chunks shall be counted in `passes` passes.
  void begin(std::size_t chunks, std::uint32_t passes) noexcept;
  // Ends endless passes with the farthest one that was ever begun. Returns: its number.
  std::uint32_t end_with_current_pass() noexcept;
  [[nodiscard]] bool all_done() const noexcept;

  // Returns: a chunk that nobody is at, with its next pass; nothing when there is none. Worker numbers count from 1.
  [[nodiscard]] std::optional<task> take(std::uint32_t worker) noexcept;
  void finish(task done) noexcept;
  // Puts back what a dead worker was at. Requires: it is dead, and nobody has its number yet.
  void put_back(std::uint32_t worker) noexcept;

 private:
  std::uint32_t chunks_ = 0;
  std::uint32_t last_pass_ = 0;
  std::uint32_t cursor_ = 0;  // where take() looks first: a hint, nothing depends on it
  // No chunk was ever handed out for a later pass. The states do not tell that: a worker may have merged half a chunk of a
  // pass that nobody else had come to, and died, and its chunk was put back. That pass must be counted to its end.
  std::uint32_t farthest_pass_ = 1;
  // By chunk: pass << 32 | worker. With worker 0 the chunk has been counted in so many passes; otherwise that worker is
  // counting it for that pass.
  std::array<std::uint64_t, max_chunks> states_{};
};

}  // namespace pool
