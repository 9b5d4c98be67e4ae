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

double rate(const statistics& stats) {
  return stats.duration.count() == 0 ? 0
                                     : static_cast<double>(stats.kills) / seconds(stats.duration);
}

// Returns: the kills a second that were asked for; nothing: as many as possible.
std::optional<double> rate_wanted(const settings& wanted) {
  if (wanted.every.count() == 0) return std::nullopt;
  return 1 / seconds(wanted.every);
}

std::string rate_text(const settings& wanted, double reached) {
  const auto asked = rate_wanted(wanted);
  return asked ? fmt::format("{:.1f}/s of {:.1f}/s", reached, *asked)
               : fmt::format("{:.1f}/s", reached);
}

std::uint64_t failed_workers(const statistics& stats) {
  std::uint64_t sum = 0;
  for (const auto& [status, number] : stats.own_ends) sum += number;
  return sum;
}

struct latency {
  std::chrono::nanoseconds median, max;
};

std::optional<latency> latency_of(const statistics& stats) {
  auto sorted = stats.latencies;
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

void progress::show(const statistics& stats, std::chrono::nanoseconds elapsed) {
  if (!to_terminal_) return;
  const double so_far = seconds(elapsed);
  const std::string line =
      fmt::format("{:.0f} of {:.0f} s: {} failed, {} kills ({}), {} holding, {} recovered", so_far,
                  seconds(wanted_.duration), counted(failed_workers(stats), "worker"), stats.kills,
                  rate_text(wanted_, so_far > 0 ? static_cast<double>(stats.kills) / so_far : 0.0),
                  stats.kills_holding, stats.recovered);
  // In one line, and without the last cell, which would move the cursor to the next one.
  const std::string shown = cut_to(line, terminal::of_stderr().width - 1);
  std::fputs(("\r\033[K" + shown).c_str(), stderr);
  std::fflush(stderr);
}

std::string as_text(const settings& wanted, const statistics& stats) {
  table lines({{"name", "NAME"}, {"value", "VALUE", align::left, true, false, true}});
  const auto line = [&lines](const char* name, const std::string& value) {
    lines.add({name, value});
  };
  line("segment",
       fmt::format("{}, {}, seed {}, {:.1f} s{}", wanted.segment, counted(wanted.workers, "worker"),
                   wanted.seed, seconds(stats.duration), wanted.aim ? ", aimed" : ""));
  line("kills", fmt::format("{} ({}), {} while holding a mutex", stats.kills,
                            rate_text(wanted, rate(stats)), stats.kills_holding));
  if (wanted.aim) line("aims missed", fmt::format("{}", stats.aims_missed));
  if (stats.spared != 0)
    line("spared", fmt::format("{}, in the last attempt of a repair", stats.spared));
  line("restarts", fmt::format("{}", stats.restarts));
  line("dead owners", fmt::format("{}: {} recovered, {} not recoverable, {} open at the end",
                                  counted(stats.held_by_killed, "mutex", "mutexes"),
                                  stats.recovered, stats.not_recoverable, stats.open_at_end));
  if (const auto times = latency_of(stats)) {
    line("latency",
         fmt::format("median {}, max {}", duration_text(times->median), duration_text(times->max)));
  }
  line("death log",
       list(stats.logged) +
           (stats.logged_unseen == 0 ? "" : fmt::format(", {} not seen", stats.logged_unseen)));
  if (stats.finished != 0) line("workers finished", fmt::format("{}", stats.finished));
  line("workers failed", list(stats.own_ends));
  line("left at the end", list(stats.left));
  if (!stats.check.empty()) {
    line("check", stats.checks == 1 ? stats.check
                                    : fmt::format("{}, the last of {}", stats.check, stats.checks));
  }
  if (!stats.image.empty()) line("image", stats.image);
  for (const std::string& problem : stats.problems) line("problem", problem);
  if (stats.interrupted != 0) line("interrupted", "the check was not run");
  return lines.as_text({false, false, {}}, terminal::of_stdout());
}

std::string as_json(const settings& wanted, const statistics& stats) {
  using nlohmann::json;
  const auto times = latency_of(stats);
  const auto asked = rate_wanted(wanted);
  json all = {
      {"segment", wanted.segment},
      {"workers", wanted.workers},
      {"seed", wanted.seed},
      {"aim", wanted.aim},
      {"seconds", seconds(stats.duration)},
      {"kills", stats.kills},
      {"kills_per_second", rate(stats)},
      {"kills_per_second_wanted", asked ? json(*asked) : json()},
      {"kills_holding", stats.kills_holding},
      {"aims_missed", stats.aims_missed},
      {"spared", stats.spared},
      {"restarts", stats.restarts},
      {"mutexes_held", stats.held_by_killed},
      {"recovered", stats.recovered},
      {"not_recoverable", stats.not_recoverable},
      {"open", stats.open_at_end},
      {"latency_us_median", times ? json(microseconds(times->median)) : json()},
      {"latency_us_max", times ? json(microseconds(times->max)) : json()},
      {"death_log", stats.logged},
      {"death_log_unseen", stats.logged_unseen},
      {"workers_finished", stats.finished},
      {"workers_failed", stats.own_ends},
      {"left", stats.left},
      {"check", stats.check.empty() ? json() : json(stats.check)},
      {"checks", stats.checks},
      {"image", stats.image.empty() ? json() : json(stats.image)},
      {"interrupted", stats.interrupted != 0},
      {"problems", stats.problems},
  };
  return all.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace torture
