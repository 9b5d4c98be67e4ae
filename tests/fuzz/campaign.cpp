#include "fuzz/campaign.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <system_error>
#include <thread>
#include <vector>

namespace outlive::fuzz {

namespace {

using steady = std::chrono::steady_clock;

// What the workers share.
struct tally {
  std::atomic<std::uint64_t> next{0};
  std::atomic<std::uint64_t> done{0};
  std::atomic<std::uint64_t> failures{0};
  std::atomic<std::uint64_t> slowest_ms{0};
  std::atomic<std::uint64_t> slowest{0};
  std::atomic<bool> stop{false};
  // Kinds of failures that were told already.
  std::atomic<unsigned> kinds{0};
  std::atomic<std::uint64_t> known[256]{};

  bool is_new(const std::string& kind) {
    const std::uint64_t hash = std::hash<std::string>()(kind) | 1;
    for (auto& each : known) {
      std::uint64_t empty = 0;
      if (each.compare_exchange_strong(empty, hash)) {
        ++kinds;
        return true;
      }
      if (empty == hash) return false;
    }
    return false;
  }
};

// The place in the library, without the numbers that differ from build to build: of one failure
// there are many cases.
std::string place_of(const verdict& found) {
  std::size_t begin = 0;
  for (std::size_t end; (end = found.stack.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const std::string line = found.stack.substr(begin, end - begin);
    const std::size_t offset = line.find("(+0x");
    if (offset != std::string::npos && line.find("fuzz") < offset && begin > 0)
      return line.substr(offset);
  }
  return {};
}

void keep(const fuzz_case& small, const verdict& found, const campaign_options& options,
          std::uint64_t number) {
  std::filesystem::create_directories(options.into);
  const std::string file =
      options.into + "/" + std::to_string(options.seed) + "-" + std::to_string(number) + ".case";
  std::string stack;
  for (std::size_t begin = 0, end; (end = found.stack.find('\n', begin)) != std::string::npos;
       begin = end + 1)
    stack += "#   " + found.stack.substr(begin, end - begin) + '\n';
  std::ofstream(file) << "# " << found.failure << "\n# in: " << found.act
                      << "\n# found by: tools/dev/fuzz --seed " << options.seed << " --number "
                      << number << '\n'
                      << stack << small.text();
  std::printf("FOUND %s\n  in: %s\n  tools/dev/fuzz --case %s\n", found.failure.c_str(),
              found.act.c_str(), file.c_str());
  std::fflush(stdout);
}

void work(const world& with, const campaign_options& options, tally& shared,
          steady::time_point until) {
  trial in(with);
  while (!shared.stop && steady::now() < until) {
    const std::uint64_t number = shared.next++;
    if (options.cases != 0 && number >= options.cases) return;
    const fuzz_case made = make_case(with, options.seed, number);
    const verdict found = in.run(made);
    ++shared.done;
    const auto took = static_cast<std::uint64_t>(found.took.count());
    if (took > shared.slowest_ms) {
      shared.slowest_ms = took;
      shared.slowest = number;
    }
    if (found.good()) continue;
    ++shared.failures;
    if (!shared.is_new(found.kind() + place_of(found))) continue;
    const fuzz_case small = shrink(in, made, found.kind());
    const verdict again = in.run(small);
    keep(small, again.good() ? found : again, options, number);
    if (!options.keep_going) shared.stop = true;
  }
}

void print_progress(const tally& shared, double seconds) {
  std::printf(
      "%8.0f s  %10lu cases  %7.0f a second  %6lu failed, of %u kinds  slowest: number %lu, %lu "
      "ms\n",
      seconds, static_cast<unsigned long>(shared.done),
      static_cast<double>(shared.done) / std::max(seconds, 0.001),
      static_cast<unsigned long>(shared.failures), shared.kinds.load(),
      static_cast<unsigned long>(shared.slowest), static_cast<unsigned long>(shared.slowest_ms));
  std::fflush(stdout);
}

}  // namespace

fuzz_case shrink(trial& in, fuzz_case failing, const std::string& kind) {
  // A hang is tried again with less patience than it was found with, but with more than any sound
  // case needs.
  const bool hangs = kind.starts_with("has not ended");
  const auto still_fails = [&](const fuzz_case& smaller) {
    const verdict found = in.run(smaller, std::chrono::seconds(hangs ? 8 : 30));
    return hangs ? found.failure.starts_with("has not ended") : found.kind() == kind;
  };
  const auto shrink_list = [&](auto member) {
    for (std::size_t i = (failing.*member).size(); i-- > 0;) {
      fuzz_case smaller = failing;
      (smaller.*member).erase((smaller.*member).begin() + static_cast<std::ptrdiff_t>(i));
      if (still_fails(smaller)) failing = std::move(smaller);
    }
  };
  shrink_list(&fuzz_case::acts);
  shrink_list(&fuzz_case::changes);
  return failing;
}

unsigned run_campaign(const world& with, const campaign_options& options) {
  void* const memory =
      ::mmap(nullptr, sizeof(tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "memory for the workers");
  auto& shared = *::new (memory) tally;
  const auto began = steady::now();
  const auto until = options.time.count() == 0 ? steady::time_point::max() : began + options.time;
  const auto seconds = [&] { return std::chrono::duration<double>(steady::now() - began).count(); };

  std::printf("seed %lu\n", static_cast<unsigned long>(options.seed));
  std::fflush(stdout);
  std::vector<pid_t> workers;
  for (unsigned i = 0; i < std::max(1U, options.jobs); ++i) {
    const pid_t parent = ::getpid();
    const pid_t worker = ::fork();
    if (worker == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      try {
        work(with, options, shared, until);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "fuzz: %s\n", error.what());
        ::_exit(1);
      }
      ::_exit(0);
    }
    workers.push_back(worker);
  }
  unsigned broken = 0;
  auto next_line = began + std::chrono::seconds(5);
  while (!workers.empty()) {
    int status = 0;
    const pid_t ended = ::waitpid(workers.back(), &status, WNOHANG);
    if (ended == workers.back()) {
      if (status != 0) ++broken;
      workers.pop_back();
      continue;
    }
    if (steady::now() >= next_line) {
      print_progress(shared, seconds());
      next_line += std::chrono::seconds(5);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  print_progress(shared, seconds());
  const unsigned kinds = shared.kinds + broken;
  ::munmap(memory, sizeof(tally));
  return kinds;
}

}  // namespace outlive::fuzz
