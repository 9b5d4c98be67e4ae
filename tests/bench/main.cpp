// outlive_bench: all benchmarks in one run. harness.hpp says why they are interleaved and paired.
#include <fnmatch.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

#include "bench/harness.hpp"
#include "bench/processes.hpp"
#include "bench/report.hpp"

namespace outlive::testing {

namespace {

constexpr const char* usage = R"(Usage: outlive_bench [OPTION...]

Measures outlive beside the raw pthread mutex and other locks. All cases take turns, in random
order; each is measured next to its reference, and the ratio is that of these pairs: the median,
and the quartiles. Times are for one operation.

  --only PATTERN   the cases whose name contains PATTERN, or matches it as a shell pattern
  --rounds N       rounds (default 400); what takes long is not measured in each of them
  --seed N         order of the cases (default: random; it is printed)
  --cpu N          the CPU to measure on (default: the last one that the process may use)
  --json FILE      the results as JSON, too ("-": to standard output, instead of the table)
  --check          compares with the project's targets, too; exit code 1 if one is not met or not
                   measured
  --list           the names of the cases
  -h, --help       this text

Exit code: 0 done, 1 a target was not met, 2 wrong usage, 3 something could not be measured,
130 interrupted.
)";

struct arguments {
  std::string only;
  std::string json_file;
  bool check = false;
  bool list = false;
  bool help = false;
  run_options run;
};

struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::uint64_t number(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const auto value = std::strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || text[0] == '-')
    throw usage_error(option + " needs a number, not \"" + text + "\"");
  return value;
}

arguments parse(int argc, char** argv) {
  arguments result;
  result.run.seed = std::random_device{}();
  result.run.cpu = nth_cpu(cpu_count() - 1);
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == argc) throw usage_error(option + " needs a value");
      return argv[++i];
    };
    if (option == "--only") {
      result.only = value();
    } else if (option == "--rounds") {
      result.run.rounds = static_cast<unsigned>(number(option, value()));
      if (result.run.rounds == 0) throw usage_error("--rounds needs at least 1");
    } else if (option == "--seed") {
      result.run.seed = number(option, value());
    } else if (option == "--cpu") {
      result.run.cpu = static_cast<int>(number(option, value()));
    } else if (option == "--json") {
      result.json_file = value();
    } else if (option == "--check") {
      result.check = true;
    } else if (option == "--list") {
      result.list = true;
    } else if (option == "-h" || option == "--help") {
      result.help = true;
    } else {
      throw usage_error("unknown option " + option);
    }
  }
  return result;
}

bool selected(const std::string& only, const std::string& name) {
  return only.empty() || name.find(only) != std::string::npos ||
         ::fnmatch(only.c_str(), name.c_str(), 0) == 0;
}

// Those that fork come first: what the others map and allocate must not weigh on their children.
std::vector<bench_case> selected_cases(const arguments& asked) {
  int other = nth_cpu(0);
  for (int i = 0; i < cpu_count(); ++i) {
    if (nth_cpu(i) != asked.run.cpu) other = nth_cpu(i);
  }
  std::vector<bench_case> result;
  for (auto& group :
       {recovery_cases({asked.run.cpu, other}), beside_cases(), contended_cases(), queue_cases(),
        companion_cases({asked.run.cpu, other}), shared_cases({asked.run.cpu, other}),
        uncontended_cases(), million_cases(), directory_cases()}) {
    for (auto& one : group) {
      if (selected(asked.only, one.name)) result.push_back(one);
    }
  }
  return result;
}

int run(const arguments& asked) {
  auto cases = selected_cases(asked);
  if (asked.list) {
    for (const auto& one : cases) std::cout << one.name << '\n';
    return 0;
  }
  if (cases.empty()) throw usage_error("no case matches \"" + asked.only + "\"");

  (void)foreign_load();
  pin_to(asked.run.cpu);
  const auto measured = run_interleaved(cases, asked.run);
  const auto summaries = summaries_of(measured);
  bool complete = true;
  for (const auto& one : measured) {
    if (one.not_measured.empty()) continue;
    complete = false;
    std::cerr << "outlive_bench: not measured: " << one.name << ": " << one.not_measured << '\n';
  }
  const double others = foreign_load();
  const auto targets =
      asked.check
          ? targets_of(summaries, [&](const auto& name) { return selected(asked.only, name); })
          : std::vector<target>();

  auto machine = surroundings();
  if (asked.json_file != "-") {
    std::cout << machine["cpu"].get<std::string>() << " (" << machine["cpus"] << " CPUs), Linux "
              << machine["kernel"].get<std::string>() << ", " << machine["libc"].get<std::string>()
              << ", " << machine["compiler"].get<std::string>() << "; seed " << asked.run.seed
              << ", " << asked.run.rounds << " rounds\n\n";
    print_table(std::cout, summaries);
    std::cout << "\nOther processes took " << static_cast<int>(others * 100 + 0.5)
              << " % of the CPUs.\n";
    if (others > 0.1)
      std::cout << "That is much: take the times with care, and measure again when the machine is "
                   "quiet.\n";
    if (asked.check) {
      std::cout << '\n';
      print_targets(std::cout, targets);
    }
  }
  if (!asked.json_file.empty()) {
    auto json = as_json(summaries, targets);
    json["machine"] = std::move(machine);
    json["run"] = {{"seed", asked.run.seed},
                   {"rounds", asked.run.rounds},
                   {"cpu", asked.run.cpu},
                   {"foreign_load", others}};
    if (asked.json_file == "-") {
      std::cout << json.dump(2) << '\n';
    } else {
      std::ofstream file(asked.json_file);
      file << json.dump(2) << '\n';
      if (!file.flush()) throw std::runtime_error("cannot write " + asked.json_file);
    }
  }
  if (was_interrupted()) return 130;
  for (const auto& one : targets) {
    if (!one.met()) return 1;
  }
  return complete ? 0 : 3;
}

}  // namespace

}  // namespace outlive::testing

int main(int argc, char** argv) {
  try {
    if (argc == 4 && std::string(argv[1]) == "--attach-probe")
      return outlive::testing::attach_probe(argv[2], argv[3]);
    const auto asked = outlive::testing::parse(argc, argv);
    if (asked.help) {
      std::fputs(outlive::testing::usage, stdout);
      return 0;
    }
    return outlive::testing::run(asked);
  } catch (const outlive::testing::usage_error& wrong) {
    std::fprintf(stderr, "outlive_bench: %s (--help tells more)\n", wrong.what());
    return 2;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "outlive_bench: %s\n", failure.what());
    return 3;
  }
}
