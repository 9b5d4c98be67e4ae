// What the explorer tells: images of failing states, stacks, progress.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <ios>

#include "killtest/explore/explorer.hpp"
#include "killtest/report/report_text.hpp"
#include "killtest/state/private_view.hpp"
#include "killtest/symbols/symbols.hpp"

namespace outlive::killtest::detail {

namespace {

constexpr std::size_t max_images = 16;

}  // namespace

void explorer::write_images() {
  if (how_.images.empty()) return;
  std::size_t written = 0;
  for (std::size_t i = 0; i < report_.states.size() && written < max_images; ++i) {
    if (report_.states[i].result == verdict::ok || chains_[i].empty()) continue;
    world_->seek(chains_[i]);
    const std::string path = how_.images + "/crash-" + hex(report_.states[i].hash) + ".seg";
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(base_of(seg_), static_cast<std::streamsize>(seg_.size_bytes()));
    if (!file.flush()) {
      report_.warnings.push_back(path + ": could not be written");
      return;
    }
    report_.states[i].image = path;
    ++written;
  }
}

std::size_t explorer::stack_index(const log_position& at) {
  if (at.stores == at.log->setup || at.stores == 0) return 0;
  const stack_trace& trace = at.log->stacks[at.log->stores[at.stores - 1].stack];
  std::uint64_t hash = trace.size();
  for (const std::uintptr_t each : trace) hash = (hash ^ each) * 0x9e3779b97f4a7c15 + (hash >> 31);
  const auto [found, is_new] = stack_of_.try_emplace(hash, stacks_.size());
  if (is_new) stacks_.push_back(trace);
  return found->second;
}

void explorer::count_point(const log_position& at) {
  const std::size_t stack = stack_index(at);
  if (report_.points_at.size() <= stack) report_.points_at.resize(stack + 1);
  ++report_.points_at[stack];
}

void explorer::describe_stacks() {
  if (!how_.sources && report_.failed() == 0) return;
  symbols names;
  for (const stack_trace& each : stacks_) report_.stacks.push_back(names.describe(each));
  report_.code = names.code();
  report_.points_at.resize(stacks_.size());
}

void explorer::end_progress() {
  if (line_shown_) std::fputs("\r\x1b[K", stderr);
}

void explorer::show_progress() {
  using namespace std::chrono;
  const auto now = steady_clock::now();
  if (now - began_ < seconds(2) || now - shown_ < milliseconds(200) || ::isatty(STDERR_FILENO) == 0)
    return;
  shown_ = now;
  line_shown_ = true;
  std::fprintf(stderr, "\r\x1b[K%s: %zu deaths, %zu states, %zu failed, %zu to look into",
               what_.name.c_str(), report_.points + report_.nested_points, report_.states.size(),
               report_.failed(), to_nest_.size());
}

}  // namespace outlive::killtest::detail
