// What comes out of a run: the table, the JSON, and the comparison with the targets.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "bench/harness.hpp"

namespace outlive::testing {

struct quartiles {
  double min, lower, median, upper, max;
};
[[nodiscard]] quartiles quartiles_of(std::vector<double> values);

struct summary {
  std::string name;
  std::string reference;
  std::size_t samples;
  quartiles ns;
  double reference_ns;  // median
  quartiles ratio;      // of the pairs
};
// Leaves cases without a sample out.
[[nodiscard]] std::vector<summary> summaries_of(const std::vector<measured_case>& cases);

struct target {
  std::string what;
  double limit;
  std::optional<double> aim;       // better than the limit asks for
  std::optional<double> measured;  // nothing: the run could not, or was told not to
  [[nodiscard]] bool met() const { return measured && *measured <= limit; }
};
// `measures` says whether the run was to measure a case.
[[nodiscard]] std::vector<target> targets_of(
    const std::vector<summary>& summaries,
    const std::function<bool(const std::string& case_name)>& measures);

// Where, with what and how quietly it was measured.
[[nodiscard]] nlohmann::json surroundings();
// The share of all CPUs that other processes took since the first call. Call it again when all
// children are waited for.
[[nodiscard]] double foreign_load();

void print_table(std::ostream& out, const std::vector<summary>& summaries);
void print_targets(std::ostream& out, const std::vector<target>& targets);
[[nodiscard]] nlohmann::json as_json(const std::vector<summary>& summaries,
                                     const std::vector<target>& targets);

}  // namespace outlive::testing
