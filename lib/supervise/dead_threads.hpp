// Dead threads, from their records: who they were, what they had in hand, and its recovery for a
// supervisor.
#pragma once

#include <pthread.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include <outlive/supervisor.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail {

struct dead_thread_record {
  std::uint32_t index = 0;
  std::uint64_t generation = 0;
  thread_death report;
  bool pending = false;  // something is to be recovered
};

// The records of dead threads of the process that did not give theirs back. Reads only; what a
// stray write made of them leads nowhere.
std::vector<dead_thread_record> find_dead_threads(const mapping& map, pid_t pid);

struct recovery {
  std::vector<recovered_mutex> lines;
  std::chrono::nanoseconds time{};
  // something is left, since another thread adopts and was not done in time: to be tried again
  bool postponed = false;
};

// Recovers what dead threads of the process have in hand, and wakes a waiter at each of these
// mutexes: a thread that died after it was woken, and before it had the mutex, leaves the others
// asleep (hazard A16). Throws what attaching throws, and errc::forked_in_repair in a child.
recovery recover_dead_threads(const std::shared_ptr<mapping>& map, pid_t pid,
                              const std::vector<dead_thread_record>& dead);

}  // namespace outlive::detail
