// The targets that the project has set itself. `outlive_bench --check` compares a run with them;
// the instruction counts are also a test (instruction_count_test.py), the times are not: no clock
// of a shared machine may decide whether a change is right.
#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

#include <outlive/robust_mutex.hpp>

#include "bench/report.hpp"

namespace outlive::testing {

namespace {

// Counted by valgrind in a program of its own. Nothing where there is no valgrind.
std::optional<double> counted_instructions() {
  const std::string command =
      std::string("python3 '") + OUTLIVE_COUNT_SCRIPT + "' --json '" + OUTLIVE_LOCK_PAIR + "'";
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> output(::popen(command.c_str(), "r"), &::pclose);
  std::string text;
  std::array<char, 4096> part{};
  while (output && std::fgets(part.data(), part.size(), output.get()) != nullptr)
    text += part.data();
  const auto counts = nlohmann::json::parse(text, nullptr, false);
  if (counts.is_discarded() || !counts.contains("robust_mutex")) return std::nullopt;
  return counts["robust_mutex"].get<double>();
}

}  // namespace

std::vector<target> targets_of(const std::vector<summary>& summaries,
                               const std::function<bool(const std::string&)>& measures) {
  std::vector<target> result;
  const auto find = [&](const std::string& name) -> const summary* {
    const auto found = std::find_if(summaries.begin(), summaries.end(),
                                    [&](const auto& one) { return one.name == name; });
    return found == summaries.end() ? nullptr : &*found;
  };
  const auto ratio = [&](const char* what, const std::string& case_name, double limit,
                         std::optional<double> aim = {}) {
    if (!measures(case_name)) return;
    const auto* found = find(case_name);
    result.push_back({what, limit, aim, found ? std::optional(found->ratio.median) : std::nullopt});
  };

  result.push_back({"bytes of a robust_mutex", 64, {}, static_cast<double>(sizeof(robust_mutex))});
  result.push_back({"instructions, lock and unlock", 185, {}, counted_instructions()});
  ratio("uncontended, of raw", "uncontended/robust_mutex", 1.25, 1.15);
  ratio("a million at random, of raw", "million/robust_mutex at random", 1.10);
  ratio("find among 10,000, of Boost", "find/one of 10000", 1.0 / 8);
  ratio("find among a million, of Boost", "find/one of 1000000", 1.0 / 8);
  ratio("creating a million names in order, of Boost", "create/one of a million names, in order",
        1.0 / 4);
  ratio("creating them in random order, of Boost", "create/one of a million names, in random order",
        1.0 / 4);
  const std::string attach = "attach/segment::open, a million locks";
  if (measures(attach)) {
    const auto* found = find(attach);
    result.push_back({"attaching to a million, ms",
                      1,
                      {},
                      found ? std::optional(found->ns.median / 1e6) : std::nullopt});
  }
  ratio("read a shared mutex, of pthread_rwlock_t", "shared/read, plain marks", 0.3);
  ratio("the same, locked marks", "shared/read, locked marks", 0.75);
  ratio("two processes read, of pthread_rwlock_t",
        "shared/read while another process reads, plain marks", 1.0 / 25);
  ratio("the same, locked marks", "shared/read while another process reads, locked marks",
        1.0 / 10);
  ratio("write, 64 threads attached, of raw", "shared/write, 64 threads attached, plain marks", 15);
  ratio("the same, locked marks", "shared/write, 64 threads attached, locked marks", 4);
  ratio("notify_one without a waiter, of raw", "condition/notify_one, nobody waits", 0.15);
  ratio("there and back, of pthread_cond_t", "condition/there and back between two processes", 1.1);
  ratio("acquire and release a permit, of sem_t", "permit/acquire, release", 0.9);
  ratio("a job by a queue, of Boost's, 1 consumer", "queue/push, pop, done; 1 consumer", 0.5);
  ratio("the same, 4 consumers", "queue/push, pop, done; 4 consumers", 0.5);
  ratio("SIGKILL to repair, of raw EOWNERDEAD", "recovery/SIGKILL of the holder to the heir", 1.3);
  ratio("the same, 1 GiB resident", "recovery/the same, holder with 1 GiB resident", 1.3);
  return result;
}

}  // namespace outlive::testing
