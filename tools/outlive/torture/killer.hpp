// Chooses which worker is killed, and when. A worker is stopped first, examined, and only then
// killed: so it is certain what it holds at its death. The stop changes nothing for the others but
// the time.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include <outlive/segment.hpp>

#include "process.hpp"
#include "torture/deaths.hpp"
#include "torture/locks.hpp"
#include "torture/settings.hpp"
#include "torture/statistics.hpp"
#include "torture/workers.hpp"

namespace torture {

class killer {
 public:
  killer(const settings& wanted, const outlive::segment& segment, signals& incoming,
         worker_set& workers, lock_list& locks, pending_deaths& deaths, statistics& stats);

  // Returns: the pause before the next kill, from nothing to twice the mean.
  [[nodiscard]] std::chrono::nanoseconds pause();
  // Kills one worker, chosen by the seed; with --aim one that holds a mutex: the seed chooses the
  // mutex with which the search begins. Kills none if the worker ends by itself or is spared, or if
  // none runs.
  void kill_next();
  // Returns: whether the stopped worker may end: it is not in the last attempt of a repair. Its
  //   death there would make the mutex not recoverable, and that would be our doing, not the
  //   repair's.
  [[nodiscard]] bool may_end(std::size_t chosen) const;

 private:
  struct holding {
    lock_view lock;
    std::uint32_t tid;
  };
  using choice = std::optional<std::size_t>;  // a worker

  // Both return a stopped worker.
  [[nodiscard]] choice stop_any(std::uint64_t draw);
  [[nodiscard]] choice stop_holder(std::uint64_t draw);
  [[nodiscard]] choice find_holder(std::size_t first) const;
  [[nodiscard]] std::vector<holding> held_by(std::size_t chosen) const;
  void kill(std::size_t chosen);

  const settings& wanted_;
  const unsigned attempts_;
  signals& incoming_;
  worker_set& workers_;
  lock_list& locks_;
  pending_deaths& deaths_;
  statistics& stats_;
  std::mt19937_64 random_;
};

}  // namespace torture
