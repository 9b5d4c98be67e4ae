#include "worker_pool/report.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include <outlive/death_log.hpp>

namespace pool {

namespace {

using ull = unsigned long long;

std::uint64_t all_words(const word_counts& counts) {
  std::uint64_t sum = 0;
  for (const auto& [word, count] : counts) sum += count;
  return sum;
}

struct recovery_us {
  double median;
  double most;
};

std::optional<recovery_us> recovery_of(const figures& done) {
  auto times = done.recovery_times;
  if (times.empty()) return std::nullopt;
  std::sort(times.begin(), times.end());
  const auto us = [](std::chrono::nanoseconds time) {
    return static_cast<double>(time.count()) / 1000;
  };
  return recovery_us{us(times[times.size() / 2]), us(times.back())};
}

}  // namespace

std::vector<difference> compare(shared& all, const word_counts& plain, std::uint32_t passes) {
  std::vector<difference> differences;
  word_counts found;
  for (auto* one : all.shards) {
    const auto table = one->lock();
    for (const slot& entry : table->slots()) {
      if (entry.length == 0) continue;
      const auto expected = plain.find(entry.word());
      const std::uint64_t wanted = expected == plain.end() ? 0 : expected->second * passes;
      const bool first = found.emplace(entry.word(), entry.count).second;
      if (!first || entry.count != wanted)
        differences.push_back({std::string(entry.word()), wanted, entry.count});
    }
  }
  for (const auto& [word, count] : plain) {
    if (!found.contains(word)) differences.push_back({std::string(word), count * passes, 0});
  }
  std::sort(differences.begin(), differences.end(),
            [](const auto& a, const auto& b) { return a.word < b.word; });
  return differences;
}

void print(const summary& result) {
  const figures& done = result.done;
  std::printf("text      %llu words, %zu of them distinct, in %zu files; %zu chunks; seed %llu\n",
              ull{all_words(result.plain)}, result.plain.size(), result.input.files, result.chunks,
              ull{result.wishes.seed});
  std::printf(
      "killed    %llu of the workers: %llu while they held the lock of a shard, %llu while they "
      "repaired one\n",
      ull{done.kills}, ull{done.killed_holding}, ull{done.killed_repairing});
  std::printf(
      "repaired  %llu times: %llu chunks rolled forward, %llu rolled back, %llu with nothing to "
      "mend\n",
      ull{done.repairs}, ull{done.rolled_forward}, ull{done.rolled_back},
      ull{done.repairs - done.rolled_forward - done.rolled_back});
  if (const auto times = recovery_of(done)) {
    std::printf(
        "recovery  median %.0f us, longest %.0f us, from SIGKILL to the end of the repair\n",
        times->median, times->most);
  }
  if (done.unanswered != 0)
    std::printf("NOT REPAIRED: %llu locks of workers that died with them\n", ull{done.unanswered});
  std::printf("counted   the text %u times over, until the kills were done\n", done.passes);
  if (result.differences.empty()) {
    std::printf("compared  %zu words with a plain count in one process: identical\n",
                result.plain.size());
  } else {
    std::printf("compared  %zu words with a plain count in one process: %zu DIFFER\n",
                result.plain.size(), result.differences.size());
  }
}

void print_differences(const summary& result, const outlive::segment& seg) {
  constexpr std::ptrdiff_t shown = 10;
  const auto& all = result.differences;
  const auto end = all.begin() + std::min<std::ptrdiff_t>(shown, std::ssize(all));
  std::for_each(all.begin(), end, [](const difference& one) {
    std::fprintf(stderr, "  '%s': expected %llu, found %llu\n", one.word.c_str(), ull{one.expected},
                 ull{one.found});
  });
  const auto deaths = outlive::death_log(seg);
  const auto first = deaths.end() - std::min<std::ptrdiff_t>(shown, std::ssize(deaths));
  std::for_each(first, deaths.end(), [](const outlive::logged_death& one) {
    const task at = task_of(one.owner.note);
    std::fprintf(stderr,
                 "  death %llu: pid %d died at chunk %u, pass %u, inside %s: %s by pid %d\n",
                 ull{one.number}, one.owner.pid, at.chunk, at.pass, one.mutex_name.c_str(),
                 std::string(to_string(one.outcome)).c_str(), one.heir.pid);
  });
}

void print_json(const summary& result) {
  const figures& done = result.done;
  const auto times = recovery_of(done);
  const auto us = [&](double recovery_us::*which) {
    char number[32] = "null";
    if (times) std::snprintf(number, sizeof number, "%.1f", (*times).*which);
    return std::string(number);
  };
  std::printf(
      "{\"kills\":%llu,\"killed_holding\":%llu,\"killed_repairing\":%llu,\"repairs\":%llu,\"rolled_"
      "forward\":%llu,"
      "\"rolled_back\":%llu,\"unanswered\":%llu,\"recovery_us_median\":%s,\"recovery_us_max\":%s,"
      "\"words\":%llu,"
      "\"distinct\":%zu,\"chunks\":%zu,\"passes\":%u,\"workers\":%u,\"identical\":%s,\"seed\":%llu}"
      "\n",
      ull{done.kills}, ull{done.killed_holding}, ull{done.killed_repairing}, ull{done.repairs},
      ull{done.rolled_forward}, ull{done.rolled_back}, ull{done.unanswered},
      us(&recovery_us::median).c_str(), us(&recovery_us::most).c_str(),
      ull{all_words(result.plain)}, result.plain.size(), result.chunks, done.passes,
      result.wishes.workers, result.differences.empty() ? "true" : "false",
      ull{result.wishes.seed});
}

}  // namespace pool
