// killtest_bench: how many crash states the kit judges in a second, and how long the showcase's
// repair takes.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <outlive/killtest/explore.hpp>

#include "killtest/long_section.hpp"
#include "killtest/worker_pool.hpp"

namespace outlive::killtest::testing {
namespace {

struct bench_case {
  const char* name;
  scenario what;
  explore_options how;
};

struct measured {
  std::string name;
  std::size_t states = 0;
  std::size_t deaths = 0;
  std::vector<double> seconds;

  [[nodiscard]] double median() const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

std::vector<bench_case> all_cases() {
  // no deaths of heirs, no real kills: states of the section, and nothing else
  explore_options owner_alone;
  owner_alone.depth = 1;
  owner_alone.confirm = 0;
  owner_alone.sources = false;
  explore_options isolated = owner_alone;
  isolated.isolate = true;
  explore_options whole;
  whole.sources = false;
  return {
      {"2,000 stores, one heir for all states", long_section_scenario(), owner_alone},
      {"2,000 stores, a process for each state", long_section_scenario(), isolated},
      {"worker pool's merge and repair, heirs killed, 32 real kills", merging_scenario(), whole},
  };
}

measured measure(const bench_case& each, int rounds) {
  measured made;
  made.name = each.name;
  for (int i = 0; i < rounds; ++i) {
    const report found = explore(each.what, each.how);
    if (!found.ok()) throw std::runtime_error(found.summary());
    made.states = found.states.size();
    made.deaths = found.points + found.nested_points;
    made.seconds.push_back(std::chrono::duration<double>(found.took).count());
  }
  return made;
}

int run(int rounds, bool json) {
  nlohmann::json all = nlohmann::json::array();
  if (!json) std::printf("%-62s %8s %8s %10s %12s\n", "case", "states", "deaths", "ms", "states/s");
  for (const bench_case& each : all_cases()) {
    const measured found = measure(each, rounds);
    const double seconds = found.median();
    const auto states = static_cast<double>(found.states);
    all.push_back({{"case", found.name},
                   {"states", found.states},
                   {"deaths", found.deaths},
                   {"seconds", seconds},
                   {"rounds", rounds}});
    if (!json)
      std::printf("%-62s %8zu %8zu %10.1f %12.0f\n", found.name.c_str(), found.states, found.deaths,
                  seconds * 1e3, states / seconds);
  }
  if (json) std::printf("%s\n", all.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace outlive::killtest::testing

int main(int argc, char** argv) {
  const bool json = argc == 2 && std::strcmp(argv[1], "--json") == 0;
  if (argc > 1 && !json) {
    std::fputs("Usage: killtest_bench [--json]\n\nMedians of 11 runs each.\n", stderr);
    return 2;
  }
  try {
    return outlive::killtest::testing::run(11, json);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "killtest_bench: %s\n", error.what());
    return 3;
  }
}
