// killtest_bench: how long the kit takes for crash states of several kinds. The processor time of
// all its processes is beside it, because on a busy machine that varies less.
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <outlive/killtest/explore.hpp>

#include "killtest/large_bank.hpp"
#include "killtest/long_section.hpp"
#include "killtest/many_stores.hpp"
#include "killtest/three_locks.hpp"
#include "killtest/worker_pool.hpp"

namespace outlive::killtest::testing {
namespace {

struct bench_case {
  const char* name;
  scenario what;
  explore_options how;
  int rounds;
  double target;  // seconds; 0: none
};

struct measured {
  std::string name;
  std::size_t states = 0;
  std::size_t deaths = 0;
  std::size_t cut = 0;  // runs that the budget ended
  std::vector<double> seconds;
  std::vector<double> processor_seconds;  // of the explorer and all processes that it forked
};

double median(std::vector<double> of) {
  std::sort(of.begin(), of.end());
  return of[of.size() / 2];
}

double processor_seconds() {
  double sum = 0;
  for (const int whose : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    ::getrusage(whose, &used);
    for (const timeval& each : {used.ru_utime, used.ru_stime})
      sum += static_cast<double>(each.tv_sec) + static_cast<double>(each.tv_usec) * 1e-6;
  }
  return sum;
}

// A critical section with a system call that writes into the segment.
scenario reading_bank() {
  scenario what = bank_scenario(&undo_in_order);
  what.name = "one read() into the segment";
  what.victim = [](segment& seg) {
    auto held = seg.find<guarded<bank>>("accounts")->lock();
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
    const long amount = 7;
    static_cast<void>(::write(ends[1], &amount, sizeof amount));
    static_cast<void>(::read(ends[0], &held->undo.b, sizeof amount));
    ::close(ends[0]);
    ::close(ends[1]);
  };
  return what;
}

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
      {"2,000 stores, one heir for all states", long_section_scenario(), owner_alone, 11, 0},
      {"2,000 stores, a process for each state", long_section_scenario(), isolated, 3, 0},
      {"10,000 stores, one heir for all states", many_stores_scenario(), owner_alone, 3, 10},
      {"10,000 stores, heirs killed, real kills", many_stores_scenario(), whole, 1, 10},
      {"20 stores in 64 MiB, heirs killed, real kills", large_bank(&undo_in_order), whole, 3, 2},
      {"a read() into the segment, heirs killed, real kills", reading_bank(), whole, 1, 2},
      {"three nested locks, heirs killed, real kills", three_locks_scenario(), whole, 1, 10},
      {"worker pool, heirs killed, real kills", merging_scenario(), whole, 11, 1},
  };
}

measured measure(const bench_case& each) {
  measured made;
  made.name = each.name;
  for (int i = 0; i < each.rounds; ++i) {
    const double before = processor_seconds();
    const report found = explore(each.what, each.how);
    if (!found.ok()) throw std::runtime_error(found.summary());
    made.states = found.states.size();
    made.deaths = found.points + found.nested_points;
    for (const std::string& each_cut : found.cut)
      if (each_cut.find("(budget)") != std::string::npos) ++made.cut;
    made.seconds.push_back(std::chrono::duration<double>(found.took).count());
    made.processor_seconds.push_back(processor_seconds() - before);
  }
  return made;
}

void print(const bench_case& each, const measured& found) {
  const double seconds = median(found.seconds);
  std::printf("%-52s %7zu %8zu %8.2f %8.2f", found.name.c_str(), found.states, found.deaths,
              seconds, median(found.processor_seconds));
  if (each.target != 0)
    std::printf(" %6.0f  %s", each.target,
                found.cut != 0           ? "no, cut by the budget"
                : seconds <= each.target ? "yes"
                                         : "no");
  std::printf("\n");
  std::fflush(stdout);
}

int run(bool json, const std::string& only) {
  nlohmann::json all = nlohmann::json::array();
  if (!json)
    std::printf("%-52s %7s %8s %8s %8s %6s\n", "case", "states", "deaths", "s", "CPU s", "target");
  for (const bench_case& each : all_cases()) {
    if (std::string(each.name).find(only) == std::string::npos) continue;
    const measured found = measure(each);
    all.push_back({{"case", found.name},
                   {"states", found.states},
                   {"deaths", found.deaths},
                   {"seconds", median(found.seconds)},
                   {"processor_seconds", median(found.processor_seconds)},
                   {"target", each.target},
                   {"cut", found.cut},
                   {"rounds", each.rounds}});
    if (!json) print(each, found);
  }
  if (json) std::printf("%s\n", all.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace outlive::killtest::testing

int main(int argc, char** argv) {
  bool json = false;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--json") {
      json = true;
    } else if (argument == "--only" && i + 1 < argc) {
      only = argv[++i];
    } else {
      std::fputs(
          "Usage: killtest_bench [--json] [--only TEXT]\n\n"
          "Medians of 1 to 11 runs. --only: the cases whose name has TEXT.\n",
          stderr);
      return 2;
    }
  }
  try {
    return outlive::killtest::testing::run(json, only);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "killtest_bench: %s\n", error.what());
    return 3;
  }
}
