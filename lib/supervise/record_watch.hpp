// record_watch: what a supervisor remembers of thread records between two sweeps.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <vector>

#include "mapping/mapping.hpp"
#include "supervise/dead_threads.hpp"

namespace outlive::detail {

class record_watch {
 public:
  explicit record_watch(const mapping& map) : map_(map), dealt_with_(map.record_count(), none) {}

  // Returns: the processes of records whose thread is dead and that were not dealt with, each once.
  std::vector<pid_t> find_deaths();

  // Takes out those that were dealt with before, and remembers the others to have been.
  void deal_with(std::vector<dead_thread_record>& dead);

 private:
  [[nodiscard]] bool is_dead(std::uint32_t index, const thread_record& record) const noexcept;

  static constexpr std::uint64_t none = ~std::uint64_t{0};
  const mapping& map_;
  std::vector<std::uint64_t> dealt_with_;  // by record: the generation whose death is done with
  std::uint32_t next_close_look_ = 0;
};

}  // namespace outlive::detail
