#include "worker_pool/options.hpp"

#include <charconv>
#include <filesystem>
#include <limits>
#include <random>
#include <string_view>

namespace pool {

namespace {

constexpr unsigned most_kills = 1000000;

std::uint64_t number(std::string_view option, std::string_view value, std::uint64_t least,
                     std::uint64_t most) {
  std::uint64_t result = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (error != std::errc{} || end != value.data() + value.size() || result < least ||
      result > most) {
    throw usage_error(std::string(option) + " takes a number from " + std::to_string(least) +
                      " to " + std::to_string(most) + ", not '" + std::string(value) + "'");
  }
  return result;
}

// The texts of the repository that this program was built from.
std::vector<std::string> default_paths() {
  namespace fs = std::filesystem;
  const fs::path root = DEFAULT_TEXTS;
  std::vector<std::string> paths;
  for (const char* part : {"README.md", "docs", "include", "lib", "tests", "tools"}) {
    if (fs::exists(root / part)) paths.push_back((root / part).string());
  }
  if (paths.empty())
    throw usage_error("name a FILE: the texts of the repository are not at " + root.string() +
                      " any more");
  return paths;
}

std::uint64_t draw_seed() {
  std::random_device device;
  return device() % 1000000;  // short enough to be typed again
}

}  // namespace

options parse(int argc, char** argv) {
  options result;
  bool seeded = false;
  bool only_files = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto value = [&]() -> std::string_view {
      if (++i == argc) throw usage_error(std::string(word) + " needs a number");
      return argv[i];
    };
    if (only_files || !word.starts_with('-')) {
      if (!std::filesystem::exists(word))
        throw usage_error("no such file: '" + std::string(word) + "'");
      result.paths.emplace_back(word);
    } else if (word == "--workers") {
      result.workers = static_cast<unsigned>(number(word, value(), 1, most_workers));
    } else if (word == "--kills") {
      result.kills = static_cast<unsigned>(number(word, value(), 0, most_kills));
    } else if (word == "--seed") {
      result.seed = number(word, value(), 0, std::numeric_limits<std::uint64_t>::max());
      seeded = true;
    } else if (word == "--json") {
      result.json = true;
    } else if (word == "--help" || word == "-h") {
      result.help = true;
    } else if (word == "--") {
      only_files = true;
    } else {
      throw usage_error("unknown option '" + std::string(word) + "'");
    }
  }
  if (result.paths.empty() && !result.help) result.paths = default_paths();
  if (!seeded) result.seed = draw_seed();
  return result;
}

const char* usage() noexcept {
  return "worker_pool [FILE...] [--workers N] [--kills K] [--seed S] [--json]\n"
         "\n"
         "Counts the words of files with a pool of processes that are killed while they do it, and "
         "compares the result with\n"
         "a plain count. FILE may be a folder; the default is the repository's own texts.\n"
         "\n"
         "  --workers N  so many processes at a time, 1 to 64 (default 4)\n"
         "  --kills K    go on until so many were killed (default 200)\n"
         "  --seed S     for the choice of victims and moments; what the scheduler does is not "
         "repeated (default: drawn)\n"
         "  --json       end with one line of JSON on standard output\n"
         "\n"
         "Exit: 0 the counts are identical, 1 they differ, 2 wrong usage, 3 the system failed, 130 "
         "interrupted\n";
}

}  // namespace pool
