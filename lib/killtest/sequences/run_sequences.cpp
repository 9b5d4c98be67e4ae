// run_sequences(): those of the corpus, then random ones; the first that fails is shortened.
#include <outlive/killtest/sequences.hpp>

#include <algorithm>
#include <chrono>
#include <ostream>
#include <random>
#include <stdexcept>
#include <utility>

#include "killtest/process/child_process.hpp"
#include "killtest/report/report_text.hpp"
#include "killtest/sequences/sequence.hpp"
#include "killtest/sequences/sequence_run.hpp"

namespace outlive::killtest {

namespace detail {

namespace {

constexpr std::size_t max_shortenings = 1000;  // runs that try to shorten a failure

void check(const erased_model_test& test) {
  const auto require = [&](bool holds, const std::string& what) {
    if (!holds) throw std::invalid_argument(test.of.name + ": " + what);
  };
  require(!test.operations.empty(), "found no operation, expected at least one");
  require(test.observe && test.expected, "found no observe or expected, expected both");
  for (const erased_operation& each : test.operations) {
    require(each.run && each.model,
            "operation \"" + each.name + "\": found no run or model, expected both");
    for (const argument_range& range : each.arguments)
      require(range.lowest <= range.highest,
              "operation \"" + each.name + "\": found the range " + std::to_string(range.lowest) +
                  " to " + std::to_string(range.highest) + ", expected the lowest first");
  }
}

class search {
 public:
  search(const erased_model_test& test, const sequence_options& how, segment& seg)
      : test_(test), how_(how), runner_(test, how, seg) {
    report_.test = test.of.name;
    report_.seed = how.seed != 0 ? how.seed : std::random_device{}() | 1U;
  }

  sequence_report run() {
    const on_one_cpu turns;
    if (const char* const why = runner_.why_not()) {
      report_.fault = why;
      return report_;
    }
    for (const kept_sequence& each : read_from(how_.corpus, test_)) {
      if (!holds(each.steps)) return std::move(report_);
    }
    for (std::size_t i = 0; i < how_.sequences; ++i) {
      if (is_over()) {
        report_.cut = "the sequences after " + std::to_string(i) + " of " +
                      std::to_string(how_.sequences) + " (budget)";
        break;
      }
      std::mt19937_64 random(report_.seed + i);
      if (!holds(random_sequence(test_, how_, random))) return std::move(report_);
    }
    if (report_.deaths == 0 && report_.fault.empty())
      report_.fault = "no operation died, so nothing is proved";
    return std::move(report_);
  }

 private:
  bool holds(sequence all) {
    const sequence_run::result found = runner_.run(all);
    ++report_.sequences;
    report_.operations += found.steps;
    report_.deaths += found.deaths;
    report_.heirs += found.heirs;
    if (found.what.empty()) return true;
    all.resize(found.steps);
    report_failure(shortened(std::move(all)));
    return false;
  }

  // The first simpler one that fails takes its place, until none does.
  sequence shortened(sequence all) {
    std::size_t tried = 0;
    for (bool again = true; again;) {
      again = false;
      for (sequence& each : simpler_than(test_, all)) {
        if (tried++ == max_shortenings || is_over()) {
          report_.cut = "simpler sequences than this one (" +
                        std::string(is_over() ? "budget" : "1000 were tried") + ")";
          return all;
        }
        const sequence_run::result found = runner_.run(each);
        if (found.what.empty()) continue;
        each.resize(found.steps);
        all = std::move(each);
        again = true;
        break;
      }
    }
    return all;
  }

  void report_failure(sequence all) {
    report_.what = runner_.run(all).what;
    for (const sequence_step& each : all) report_.failing.push_back(text_of(test_, each));
    if (report_.what.empty()) report_.what = "it fails in some runs and not in others";
    if (!how_.corpus.empty()) report_.file = write_to(how_.corpus, test_, all);
  }

  bool is_over() const {
    return how_.budget.count() != 0 && std::chrono::steady_clock::now() - began_ >= how_.budget;
  }

  const erased_model_test& test_;
  const sequence_options& how_;
  sequence_run runner_;
  sequence_report report_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace

sequence_report run_sequences(const erased_model_test& test, const sequence_options& how) {
  check(test);
  segment seg = segment::anonymous(test.of.options);
  if (test.of.make) test.of.make(seg);
  return search(test, how, seg).run();
}

}  // namespace detail

bool sequence_report::ok() const noexcept {
  return fault.empty() && failing.empty();
}

std::string sequence_report::summary() const {
  std::string text = test + ": ";
  if (!fault.empty()) return text + "could not be run: " + fault + '\n';
  text += detail::counted(sequences, "sequence") + " of " +
          detail::counted(operations, "operation") + "; " + std::to_string(deaths) + " died, " +
          detail::counted(heirs, "heir") + " found something to repair; seed " +
          std::to_string(seed) + (failing.empty() ? ": ok\n" : ": FAILED\n");
  if (!failing.empty()) {
    text += "  the shortest sequence that fails:\n";
    for (const std::string& each : failing) text += "    " + each + '\n';
    text += "  then: " + what + '\n';
    if (!file.empty()) text += "  kept in " + file + ": it is run first from now on\n";
  }
  if (!cut.empty()) text += "  left out: " + cut + '\n';
  return text;
}

std::ostream& operator<<(std::ostream& to, const sequence_report& what) {
  return to << what.summary();
}

}  // namespace outlive::killtest
