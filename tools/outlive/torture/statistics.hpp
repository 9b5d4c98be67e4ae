// What a run counts, and what it found wrong.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace torture {

struct statistics {
  std::chrono::nanoseconds duration{};
  std::uint64_t kills = 0;
  std::uint64_t kills_holding = 0;
  // --aim: the worker held nothing within the limit, and was killed nevertheless
  std::uint64_t aims_missed = 0;
  // not killed: its repair was the last attempt
  std::uint64_t spared = 0;
  std::uint64_t restarts = 0;
  std::uint64_t finished = 0;                     // ended by themselves with exit code 0
  std::map<std::string, std::uint64_t> own_ends;  // other ends that were not ours, by status

  // Mutexes that a worker held when it was killed.
  std::uint64_t held_by_killed = 0;
  std::uint64_t recovered = 0;
  // not recoverable
  std::uint64_t not_recoverable = 0;
  // nobody had asked for them, or the repair was not done
  std::uint64_t open_at_end = 0;
  // from the kill to the recovery
  std::vector<std::chrono::nanoseconds> latencies;

  std::map<std::string, std::uint64_t> logged;  // entries of the segment's death log, by outcome
  std::uint64_t logged_unseen = 0;              // overwritten before they were read
  std::map<std::string, std::uint64_t> left;    // what recover() said at the end, by outcome

  std::string check;                  // "passed", or what went wrong; empty: none
  std::uint64_t checks = 0;           // how often it was run
  std::string image;                  // the file that has the segment as it was at the failure
  int interrupted = 0;                // the signal that ended the run
  std::vector<std::string> problems;  // what makes the run fail
};

}  // namespace torture
