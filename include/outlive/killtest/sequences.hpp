// sequences: random operations on shared data, with deaths in between, compared with a model.
//
// explore() kills one victim. What a repair leaves may look right and still break the operation
// that comes next, or the next death. run_sequences() makes random sequences: an operation, a death
// at any of its stores, recovery in any order, the next operation. After each step it compares what
// the segment holds with a model of it in plain memory. An operation that died may have happened or
// not; anything in between is a failure. A failing sequence is shortened as far as it still fails.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <any>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include <outlive/detail/export.hpp>
#include <outlive/killtest/scenario.hpp>
#include <outlive/repair.hpp>
#include <outlive/segment.hpp>

namespace outlive::killtest {

using operation_arguments = std::vector<std::int64_t>;

// An argument is drawn from here, with equal probability. A failing sequence is shortened towards
// `lowest`.
struct argument_range {
  std::int64_t lowest = 0;
  std::int64_t highest = 0;
};

template <class Model>
struct operation {
  std::string name;
  std::vector<argument_range> arguments;
  // Does it in the segment. Runs in a process of its own, which may die after each of its stores.
  // It must do the same in every run from the same state.
  std::function<void(segment&, const operation_arguments&)> run;
  // Does it in the model. Must accept every state and all arguments.
  std::function<void(Model&, const operation_arguments&)> model;
};

// `Model` is copied: a plain value.
template <class Model>
struct model_test {
  std::string name;

  // As in a scenario.
  std::function<void(segment&)> make;
  std::function<std::vector<repair_registration>(segment&)> repairs;
  segment_options options = small_segment();

  Model initial{};
  std::vector<operation<Model>> operations;

  // What the segment holds, and what the model holds, as text: equal if they agree. The first one
  // runs in a process of its own and may lock; at most 64 KiB count.
  std::function<std::string(segment&)> observe;
  std::function<std::string(const Model&)> expected;
};

struct sequence_options {
  std::size_t sequences = 100;  // random ones, after those of the corpus
  std::size_t length = 8;       // operations of one: 1 to this
  double deaths = 0.5;          // the share of operations that die, and of their heirs that die
  std::uint64_t seed = 0;       // 0: a random one; the report has it

  // How long all may take; then the report says how many were run. 0: no limit.
  std::chrono::milliseconds budget{30'000};
  // How long one process may take.
  std::chrono::milliseconds time_limit{5000};

  // A folder of sequences that once failed, one a file, sequence-HASH.json: they are run first, and
  // a new failure is added. Empty: none.
  std::string corpus;
};

struct sequence_report {
  std::string test;
  std::uint64_t seed = 0;
  std::size_t sequences = 0;   // that were run, without those that shortened a failure
  std::size_t operations = 0;  // of these
  std::size_t deaths = 0;      // of operations
  std::size_t heirs = 0;       // that found something to repair; some of them died, too
  // The shortest failing sequence, a step a line, and what is wrong after the last step. Empty:
  // none.
  std::vector<std::string> failing;
  std::string what;
  std::string file;   // where the corpus has it
  std::string cut;    // what was left out, and which option says so
  std::string fault;  // why nothing could be run; empty otherwise

  // True if something died, and no sequence failed.
  [[nodiscard]] OUTLIVE_API bool ok() const noexcept;
  [[nodiscard]] OUTLIVE_API std::string summary() const;  // for people
};

OUTLIVE_API std::ostream& operator<<(std::ostream& to, const sequence_report& what);

namespace detail {

struct erased_operation {
  std::string name;
  std::vector<argument_range> arguments;
  std::function<void(segment&, const operation_arguments&)> run;
  std::function<void(std::any&, const operation_arguments&)> model;
};

// A model_test whose model has no type any more.
struct erased_model_test {
  scenario of;  // name, make, repairs, options
  std::any initial;
  std::vector<erased_operation> operations;
  std::function<std::string(segment&)> observe;
  std::function<std::string(const std::any&)> expected;
};

OUTLIVE_API sequence_report run_sequences(const erased_model_test& test,
                                          const sequence_options& how);

}  // namespace detail

// Returns: the report; the first failure ends the search.
// Throws: std::invalid_argument for a test without operations or with an empty function or range,
//   std::system_error and std::runtime_error, which name the file, for a corpus that cannot be
//   read; what `make`, `model` and `expected` throw.
// Blocks: until all sequences were run, or for the budget; then the run that is under way ends
//   within ten times the time limit.
template <class Model>
[[nodiscard]] sequence_report run_sequences(const model_test<Model>& test,
                                            const sequence_options& how = {}) {
  detail::erased_model_test erased;
  erased.of.name = test.name;
  erased.of.make = test.make;
  erased.of.repairs = test.repairs;
  erased.of.options = test.options;
  erased.initial = test.initial;
  erased.observe = test.observe;
  if (test.expected) {
    erased.expected = [&test](const std::any& model) {
      return test.expected(std::any_cast<const Model&>(model));
    };
  }
  for (const operation<Model>& each : test.operations) {
    detail::erased_operation made{each.name, each.arguments, each.run, nullptr};
    if (each.model) {
      made.model = [&each](std::any& model, const operation_arguments& with) {
        each.model(std::any_cast<Model&>(model), with);
      };
    }
    erased.operations.push_back(std::move(made));
  }
  return detail::run_sequences(erased, how);
}

}  // namespace outlive::killtest
