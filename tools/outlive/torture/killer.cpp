#include "torture/killer.hpp"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace torture {

namespace {

using condition = lock_view::condition;

// How long --aim looks for a worker that holds a mutex.
constexpr auto aim_limit = std::chrono::milliseconds(100);
// How long a death is watched without a pause: most are recovered within it, and a sleep would be
// longer than what is measured.
constexpr auto watch_limit = std::chrono::milliseconds(1);

// How long a spared worker goes on with its repair, even if --every is 0.
constexpr auto spared_pause = std::chrono::milliseconds(2);

}  // namespace

killer::killer(const settings& wanted, const outlive::segment& segment, signals& incoming,
               worker_set& workers, lock_list& locks, pending_deaths& deaths, statistics& stats)
    : wanted_(wanted),
      attempts_(segment.options().attempts),
      incoming_(incoming),
      workers_(workers),
      locks_(locks),
      deaths_(deaths),
      stats_(stats),
      random_(wanted.seed) {}

std::chrono::nanoseconds killer::pause() {
  const auto twice = static_cast<std::uint64_t>(wanted_.every.count()) * 2;
  return std::chrono::nanoseconds(random_() % (twice + 1));
}

// One draw for each choice, so that the seed does not depend on how the workers ran.
void killer::kill_next() {
  locks_.refresh(clock::now());
  const std::uint64_t draw = random_();
  choice chosen = wanted_.aim ? stop_holder(draw) : stop_any(draw);
  if (!chosen && wanted_.aim && incoming_.ending() == 0 && (chosen = stop_any(draw)))
    ++stats_.aims_missed;
  if (!chosen) return;

  if (may_end(*chosen)) return kill(*chosen);
  ++stats_.spared;
  workers_.resume(*chosen);
  incoming_.pause(spared_pause);
}

killer::choice killer::stop_any(std::uint64_t draw) {
  const auto& all = workers_.all();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::size_t index = (draw + i) % all.size();
    if (all[index].pid == 0 || all[index].killed) continue;
    return workers_.stop(index) ? choice(index) : std::nullopt;
  }
  return std::nullopt;
}

killer::choice killer::stop_holder(std::uint64_t draw) {
  const auto limit = clock::now() + aim_limit;
  while (clock::now() < limit && incoming_.ending() == 0) {
    const choice found =
        locks_.all().empty() ? std::nullopt : find_holder(draw % locks_.all().size());
    if (found) {
      if (!workers_.stop(*found)) return std::nullopt;
      if (!held_by(*found).empty()) return found;
      workers_.resume(*found);  // it had released the mutex before the stop
    }
    incoming_.wait({});
  }
  return std::nullopt;
}

killer::choice killer::find_holder(std::size_t first) const {
  const auto& locks = locks_.all();
  for (std::size_t i = 0; i < locks.size(); ++i) {
    const std::uint32_t tid = locks[(first + i) % locks.size()].owner_tid();
    const choice owner = tid == 0 ? std::nullopt : workers_.owner_of(tid);
    if (owner && !workers_.all()[*owner].killed) return owner;
  }
  return std::nullopt;
}

std::vector<killer::holding> killer::held_by(std::size_t chosen) const {
  std::vector<holding> held;
  for (const lock_view& lock : locks_.all()) {
    const std::uint32_t tid = lock.owner_tid();
    if (tid != 0 && lock.is_lock() && workers_.owner_of(tid) == chosen) held.push_back({lock, tid});
  }
  return held;
}

bool killer::may_end(std::size_t chosen) const {
  const std::vector<holding> held = held_by(chosen);
  return std::none_of(held.begin(), held.end(), [&](const holding& each) {
    const std::uint64_t state = each.lock.state();
    return lock_view::condition_of(state) == condition::repairing &&
           lock_view::attempts_of(state) >= attempts_;
  });
}

void killer::kill(std::size_t chosen) {
  const std::vector<holding> held = held_by(chosen);
  ++stats_.kills;
  if (!held.empty()) ++stats_.kills_holding;
  stats_.held_by_killed += held.size();
  std::vector<std::uint64_t> states;
  for (const holding& each : held) states.push_back(each.lock.state());

  const auto when = clock::now();
  workers_.kill(chosen);
  for (std::size_t i = 0; i < held.size(); ++i)
    deaths_.add(held[i].lock, held[i].tid, states[i], when);
  while (!deaths_.empty() && clock::now() < when + watch_limit) {
    deaths_.update(clock::now(), stats_);
    sched_yield();
  }
}

}  // namespace torture
