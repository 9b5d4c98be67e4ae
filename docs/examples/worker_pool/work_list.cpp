#include "worker_pool/work_list.hpp"

#include <algorithm>

#include "worker_pool/crash_barrier.hpp"

namespace pool {

namespace {

constexpr std::uint32_t nobody = 0;

constexpr std::uint64_t state(std::uint32_t pass, std::uint32_t worker) noexcept {
  return std::uint64_t{pass} << 32 | worker;
}
constexpr std::uint32_t pass_of(std::uint64_t state) noexcept {
  return static_cast<std::uint32_t>(state >> 32);
}
constexpr std::uint32_t worker_of(std::uint64_t state) noexcept {
  return static_cast<std::uint32_t>(state);
}

}  // namespace

void work_list::begin(std::size_t chunks, std::uint32_t passes) noexcept {
  last_pass_ = passes;
  chunks_ = static_cast<std::uint32_t>(chunks);
}

std::uint32_t work_list::end_with_current_pass() noexcept {
  last_pass_ = farthest_pass_;
  return last_pass_;
}

bool work_list::all_done() const noexcept {
  return std::all_of(states_.begin(), states_.begin() + chunks_, [this](std::uint64_t s) { return s == state(last_pass_, nobody); });
}

std::optional<task> work_list::take(std::uint32_t worker) noexcept {
  for (std::uint32_t i = 0; i < chunks_; ++i) {
    const std::uint32_t chunk = (cursor_ + i) % chunks_;
    const std::uint32_t pass = pass_of(states_[chunk]);
    if (worker_of(states_[chunk]) != nobody || pass == last_pass_) continue;
    farthest_pass_ = std::max(farthest_pass_, pass + 1);
    crash_barrier();  // known to be begun before anybody can begin it
    states_[chunk] = state(pass + 1, worker);
    cursor_ = chunk + 1;
    return task{chunk, pass + 1};
  }
  return std::nullopt;
}

void work_list::finish(task done) noexcept {
  states_[done.chunk] = state(done.pass, nobody);
}

void work_list::put_back(std::uint32_t worker) noexcept {
  for (std::uint32_t i = 0; i < chunks_; ++i) {
    if (worker_of(states_[i]) == worker) states_[i] = state(pass_of(states_[i]) - 1, nobody);
  }
}

}  // namespace pool
