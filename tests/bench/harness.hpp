// The paired harness: what a case is, and the one loop that measures all of them.
//
// A clock in a virtual machine drifts by tens of percent between one second and the next
// (frequency, neighbours), so a figure taken now says nothing against one that was taken a minute
// ago. Therefore every case is measured against its reference within the same millisecond, the
// cases take turns in random order, and what is compared is the ratio of each such pair. Google
// Benchmark, which fits most work, runs one case to its end before the next: it cannot interleave,
// nor pair.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace outlive::testing {

using random_source = std::mt19937_64;

// Nanoseconds for one operation, of the case and of what it is compared with.
struct sample {
  double subject_ns;
  double reference_ns;
};
using measurement = std::function<sample(random_source&)>;

struct bench_case {
  // group/what
  std::string name;
  // what it is compared with
  std::string reference;
  // measured in each every-th round: 1 for microseconds, more for what takes longer
  unsigned every;
  // throws what the machine lacks for it: memory, say
  std::function<measurement()> set_up;
};

struct measured_case {
  std::string name;
  std::string reference;
  std::vector<sample> samples;
  std::string not_measured;  // why
};

// A loop of `count` operations, long enough for the clock and short enough that the machine does
// not change meanwhile.
struct operation {
  std::function<void(std::size_t count)> run;
  std::size_t count;
};
// Chooses the count so that the loop takes about 40 us.
[[nodiscard]] operation calibrated(std::function<void(std::size_t count)> run);

// Runs both, each after a warm-up, in random order.
[[nodiscard]] sample measure_pair(const operation& subject, const operation& reference,
                                  random_source& random);

// Lock and unlock of one raw mutex of the process: the reference of most cases.
[[nodiscard]] const operation& raw_reference();

[[nodiscard]] std::uint64_t now_ns() noexcept;

struct run_options {
  unsigned rounds = 400;
  std::uint64_t seed = 0;
  int cpu = 0;
};
// Sets all cases up, then measures them in turns. SIGINT ends it early, with what has been measured
// so far.
[[nodiscard]] std::vector<measured_case> run_interleaved(const std::vector<bench_case>& cases,
                                                         const run_options& options);
[[nodiscard]] bool was_interrupted() noexcept;

// The cases, by file. `cpu` is the one that the process is pinned to, `other_cpu` another one where
// there is one.
struct machine_cpus {
  int cpu;
  int other_cpu;
};
[[nodiscard]] std::vector<bench_case> recovery_cases(machine_cpus cpus);
[[nodiscard]] std::vector<bench_case> contended_cases();
[[nodiscard]] std::vector<bench_case> uncontended_cases();
[[nodiscard]] std::vector<bench_case> million_cases();
[[nodiscard]] std::vector<bench_case> directory_cases();
[[nodiscard]] std::vector<bench_case> queue_cases();
[[nodiscard]] std::vector<bench_case> beside_cases();
[[nodiscard]] std::vector<bench_case> companion_cases(machine_cpus cpus);
[[nodiscard]] std::vector<bench_case> shared_cases(machine_cpus cpus);

// What a fresh process does for the cases "attach/...": attaches, and writes the nanoseconds to its
// standard output.
[[nodiscard]] int attach_probe(const std::string& kind, const std::string& segment_name);

}  // namespace outlive::testing
