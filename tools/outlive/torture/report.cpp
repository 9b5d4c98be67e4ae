#include "torture/report.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "table.hpp"

namespace torture {

namespace {

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}
double microseconds(std::chrono::nanoseconds time) {
  return static_cast<double>(time.count() / 100) / 10;
}

double rate(const figures& counted) {
  return counted.duration.count() == 0
             ? 0
             : static_cast<double>(counted.kills) / seconds(counted.duration);
}

std::uint64_t failed_workers(const figures& counted) {
  std::uint64_t sum = 0;
  for (const auto& [status, number] : counted.own_ends) sum += number;
  return sum;
}

struct latency {
  std::chrono::nanoseconds median, max;
};

std::optional<latency> latency_of(const figures& counted) {
  auto sorted = counted.latencies;
  if (sorted.empty()) return std::nullopt;
  std::sort(sorted.begin(), sorted.end());
  return latency{sorted[sorted.size() / 2], sorted.back()};
}

// "3 repaired, 1 failed"
std::string list(const std::map<std::string, std::uint64_t>& numbers) {
  std::string text;
  for (const auto& [name, number] : numbers)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", number, name);
  return text.empty() ? "none" : text;
}

}  // namespace

progress::progress(const settings& wanted)
    : wanted_(wanted), to_terminal_(isatty(STDERR_FILENO) == 1) {}

progress::~progress() {
  if (to_terminal_) std::fputs("\r\033[K", stderr);
}

void progress::show(const figures& counted, std::chrono::nanoseconds elapsed) {
  if (!to_terminal_) return;
  const double so_far = seconds(elapsed);
  const std::string line = fmt::format(
      "\r\033[K{:.0f} of {:.0f} s: {} kills ({:.0f}/s), {} holding, {} recovered, {} workers "
      "failed",
      so_far, seconds(wanted_.duration), counted.kills,
      so_far > 0 ? static_cast<double>(counted.kills) / so_far : 0.0, counted.kills_holding,
      counted.recovered, failed_workers(counted));
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

std::string as_text(const settings& wanted, const figures& counted) {
  table lines({{"name", "NAME"}, {"value", "VALUE", align::left, true, false, true}});
  const auto line = [&lines](const char* name, const std::string& value) {
    lines.add({name, value});
  };
  line("segment", fmt::format("{}, {} workers, seed {}, {:.1f} s{}", wanted.segment, wanted.workers,
                              wanted.seed, seconds(counted.duration), wanted.aim ? ", aimed" : ""));
  line("kills", fmt::format("{} ({:.1f}/s), {} while holding a mutex", counted.kills, rate(counted),
                            counted.kills_holding));
  if (wanted.aim) line("aims missed", fmt::format("{}", counted.aims_missed));
  if (counted.spared != 0)
    line("spared", fmt::format("{}, in the last attempt of a repair", counted.spared));
  line("restarts", fmt::format("{}", counted.restarts));
  line("dead owners",
       fmt::format("{} mutexes: {} recovered, {} not recoverable, {} open at the end",
                   counted.held_by_killed, counted.recovered, counted.given_up,
                   counted.open_at_end));
  if (const auto times = latency_of(counted)) {
    line("latency", fmt::format("median {:.1f} us, max {:.1f} us", microseconds(times->median),
                                microseconds(times->max)));
  }
  line("death log",
       list(counted.logged) +
           (counted.logged_unseen == 0 ? "" : fmt::format(", {} not seen", counted.logged_unseen)));
  if (counted.finished != 0) line("workers finished", fmt::format("{}", counted.finished));
  line("workers failed", list(counted.own_ends));
  line("left at the end", list(counted.left));
  if (!counted.check.empty()) line("check", counted.check);
  for (const std::string& problem : counted.problems) line("problem", problem);
  if (counted.interrupted != 0) line("interrupted", "the check was not run");
  return lines.as_text({false, false, {}}, terminal::of_stdout());
}

std::string as_json(const settings& wanted, const figures& counted) {
  using nlohmann::json;
  const auto times = latency_of(counted);
  json all = {
      {"segment", wanted.segment},
      {"workers", wanted.workers},
      {"seed", wanted.seed},
      {"aim", wanted.aim},
      {"seconds", seconds(counted.duration)},
      {"kills", counted.kills},
      {"kills_per_second", rate(counted)},
      {"kills_holding", counted.kills_holding},
      {"aims_missed", counted.aims_missed},
      {"spared", counted.spared},
      {"restarts", counted.restarts},
      {"mutexes_held", counted.held_by_killed},
      {"recovered", counted.recovered},
      {"not_recoverable", counted.given_up},
      {"open", counted.open_at_end},
      {"latency_us_median", times ? json(microseconds(times->median)) : json()},
      {"latency_us_max", times ? json(microseconds(times->max)) : json()},
      {"death_log", counted.logged},
      {"death_log_unseen", counted.logged_unseen},
      {"workers_finished", counted.finished},
      {"workers_failed", counted.own_ends},
      {"left", counted.left},
      {"check", counted.check.empty() ? json() : json(counted.check)},
      {"interrupted", counted.interrupted != 0},
      {"problems", counted.problems},
  };
  return all.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace torture
