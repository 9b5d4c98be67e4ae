#include "killtest/explore/lock_coverage.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include <outlive/killtest/coverage.hpp>

#include "format/object_layout.hpp"
#include "killtest/report/coverage_parts.hpp"
#include "killtest/report/report_text.hpp"
#include "killtest/stacks/process_stacks.hpp"
#include "killtest/state/segment_copy.hpp"
#include "killtest/trace/step_scout.hpp"

namespace outlive::killtest::detail {

namespace {

std::string folder_of(const explore_options& how) {
  const char* const given = std::getenv("OUTLIVE_KILLTEST_COVERAGE");
  return given != nullptr ? given : how.coverage;
}

}  // namespace

lock_coverage::lock_coverage(segment& seg, const explore_options& how)
    : seg_(seg), folder_(folder_of(how)), limit_(how.time_limit * 10) {}

// By the places at which it stores into objects, and the conditions that it gives to mutexes: these
// say which repairs ran, those that stored nothing, too. Heirs that agree in that can still differ
// in what they look at; then a line that only the second one came to is called a hole.
bool lock_coverage::is_new(const timeline& states, const recording& log) {
  constexpr std::uint64_t condition_bits = 3;
  std::uint64_t way = 0;
  const auto mix = [&](std::uint64_t each) {
    way = (way ^ each) * 0x9e3779b97f4a7c15 + (way >> 29);
  };
  for (std::size_t i = log.setup; i < log.stores.size(); ++i) {
    const logged_store& store = log.stores[i];
    if (states.is_in_an_object(log, store)) {
      for (const std::uintptr_t each : log.stacks[store.stack]) mix(each);
      continue;
    }
    for (const std::uint64_t lock : states.mutexes()) {
      if (store.offset != lock + offsetof(outlive::detail::lock_bytes, state)) continue;
      mix(lock);
      mix(static_cast<std::uint64_t>(log.new_bytes(store)[0]) & condition_bits);
    }
  }
  return ways_.insert(way).second;
}

void lock_coverage::follow(const workload& what, const std::string& who) {
  std::string fault;
  if (const char* const why = why_no_single_steps()) {
    fault = why;
  } else {
    log_.emplace();
    const segment_copy copy(seg_);
    static_cast<void>(
        step_through(*log_, seg_, copy.fd(), copy.bytes(), what, nullptr, limit_, fault, &seen_));
  }
  if (fault.empty()) return;
  const std::string text = "what " + who + " came to: " + fault;
  if (std::find(left_out_.begin(), left_out_.end(), text) == left_out_.end())
    left_out_.push_back(text);
}

void lock_coverage::write(const report& of) const {
  coverage part;
  part.scenarios.push_back(of.scenario);
  if (!of.fault.empty()) part.left_out.push_back(of.scenario + ": " + of.fault);
  for (const auto* const all : {&left_out_, &of.cut}) {
    for (const std::string& each : *all) part.left_out.push_back(of.scenario + ": " + each);
  }
  process_stacks names;
  for (const run_line& each : names.lines_run(seen_)) {
    if (is_users({0, each.function, each.file, each.line}))
      part.lines.push_back({each.file, each.line, each.function, !each.was_run});
  }
  if (part.lines.empty() && part.left_out.empty())
    part.left_out.push_back(of.scenario +
                            ": all lines: the program has no debugging information (-g), or "
                            "nobody held a mutex");
  write_part(part, folder_);
}

}  // namespace outlive::killtest::detail
