// The showcase's table as a scenario: the merge of a chunk into a shard, and the repair of a
// half-merged one.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <outlive/guarded.hpp>
#include <outlive/killtest/scenario.hpp>

#include "worker_pool/table.hpp"

namespace outlive::killtest::testing {

using guarded_shard = guarded<pool::shard>;

inline const std::vector<pool::counted_word> first_chunk = {{"lock", 2}, {"owner", 1}};
inline const std::vector<pool::counted_word> second_chunk = {
    {"owner", 3}, {"death", 1}, {"heir", 5}};

inline std::string counts_are_right(const pool::shard& table) {
  const std::map<std::string, std::uint64_t, std::less<>> expected = {
      {"lock", 2}, {"owner", 4}, {"death", 1}, {"heir", 5}};
  std::size_t found = 0;
  for (const pool::slot& each : table.slots()) {
    if (each.length == 0) continue;
    ++found;
    const auto wanted = expected.find(each.word());
    if (wanted == expected.end())
      return "the table has the word \"" + std::string(each.word()) + "\", which no chunk has";
    if (wanted->second != each.count)
      return std::string(each.word()) + " is counted " + std::to_string(each.count) +
             " times, not " + std::to_string(wanted->second);
  }
  return found == expected.size() ? std::string()
                                  : std::to_string(found) + " words in the table, not " +
                                        std::to_string(expected.size());
}

/// A worker that died in the merge of a chunk: the chunk is handed out again, and must count once.
inline scenario merging_scenario() {
  scenario made;
  made.name = "worker pool";
  made.options.size = sizeof(guarded_shard) + 64 * 1024;
  made.make = [](segment& seg) {
    seg.find_or_construct<guarded_shard>("shard", "shard").lock()->merge(0, 1, first_chunk);
  };
  made.repairs = [](segment& seg) {
    return all_of(on_owner_death<pool::shard>(
        seg, "shard",
        [](pool::shard& table, const owner_death& death) { return table.repair(death); }));
  };
  made.victim = [](segment& seg) {
    seg.find<guarded_shard>("shard")->lock()->merge(1, 1, second_chunk);
  };
  made.invariant = [](segment& seg) {
    auto table = seg.find<guarded_shard>("shard")->lock();
    table->merge(1, 1, second_chunk);
    return counts_are_right(*table);
  };
  // A repair writes down whose death it was, and when it was done; how many such lines there are
  // stands right before them.
  made.ignored = [](segment& seg) {
    const auto* const lines =
        reinterpret_cast<const std::byte*>(&seg.find<guarded_shard>("shard")->unguarded().line(0));
    return std::vector{
        std::span(lines - sizeof(std::uint64_t),
                  sizeof(std::uint64_t) + pool::shard::kept_lines * sizeof(pool::repair_line))};
  };
  return made;
}

}  // namespace outlive::killtest::testing
