// The fuzzer of damaged segments. CONTRIBUTING.md says how it is used, docs/limits.md what it may
// find.
#include <execinfo.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/campaign.hpp"
#include "fuzz/operations.hpp"

namespace {

using namespace outlive::fuzz;

constexpr const char* help = R"(Usage: fuzz [OPTION...]

Damages segments in random ways, each in a process of its own, and uses them: nothing but success
or an error of outlive may come of it.

  --seconds N      for so long; 60 by default, 0: until it is interrupted
  --cases N        so many cases, whatever the time
  --seed N         of the random cases; another one each time by default, and printed
  --jobs N         so many at a time; 4 by default
  --into FOLDER    where the shrunk cases go that failed; fuzz-findings by default
  --first          stop at the first failure

  --case FILE      replay one case, with the stack of its failure
  --number N       replay the random case of that number, with --seed
  --shrink         print the case of --case or --number with what is needed for its failure alone
  --kept FOLDER    replay all cases of the folder, a line "PASS: fuzz.NAME" each, before the
                   random ones

  --fields SCENE   print the fields of a scene: fresh, deaths or crowded
  --operations     print what a case can do; "outlive ..." runs the tool on the segment
  --test-itself    whether it finds what it should
)";

struct arguments {
  campaign_options campaign;
  bool limited = false;
  std::string file;
  std::string kept;
  std::string fields;
  long number = -1;
  bool shrink = false;
  bool operations = false;
  bool test_itself = false;
};

[[noreturn]] void refuse(const std::string& what) {
  std::fprintf(stderr, "fuzz: %s (see --help)\n", what.c_str());
  std::exit(2);
}

arguments read(const std::vector<std::string>& words) {
  arguments read;
  read.campaign.seed = std::random_device()();
  read.campaign.jobs = 4;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto value = [&]() -> const std::string& {
      if (++i == words.size()) refuse("found nothing after " + word + ", expected a value");
      return words[i];
    };
    const auto number = [&] {
      const std::string& text = value();
      if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos)
        refuse("found " + word + " " + text + ", expected a number");
      return std::stoull(text);
    };
    if (word == "--seconds") {
      read.campaign.time = std::chrono::seconds(number());
      read.limited = true;
    } else if (word == "--cases") {
      read.campaign.cases = number();
      read.limited = true;
    } else if (word == "--seed") {
      read.campaign.seed = number();
    } else if (word == "--jobs") {
      read.campaign.jobs = static_cast<unsigned>(number());
    } else if (word == "--into") {
      read.campaign.into = value();
    } else if (word == "--first") {
      read.campaign.keep_going = false;
    } else if (word == "--case") {
      read.file = value();
    } else if (word == "--number") {
      read.number = static_cast<long>(number());
    } else if (word == "--shrink") {
      read.shrink = true;
    } else if (word == "--kept") {
      read.kept = value();
    } else if (word == "--fields") {
      read.fields = value();
    } else if (word == "--test-itself") {
      read.test_itself = true;
    } else if (word == "--operations") {
      read.operations = true;
    } else if (word == "--help" || word == "-h") {
      std::fputs(help, stdout);
      std::exit(0);
    } else {
      refuse("found " + word + ", expected an option");
    }
  }
  if (!read.limited) read.campaign.time = std::chrono::seconds(60);
  return read;
}

// The functions of a stack, by addr2line where there is one.
void print_stack(const std::string& stack) {
  for (std::size_t begin = 0, end; (end = stack.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const std::string line = stack.substr(begin, end - begin);
    const std::size_t open = line.find("(+");
    const std::size_t close = line.find(')', open);
    std::printf("  %s\n", line.c_str());
    if (open == std::string::npos || close == std::string::npos) continue;
    std::fflush(stdout);
    const std::string command = "addr2line -Cfpi -e '" + line.substr(0, open) + "' " +
                                line.substr(open + 2, close - open - 2) +
                                " 2>/dev/null | sed 's/^/      /'";
    if (std::system(command.c_str()) != 0) return;
  }
}

int replay(const world& with, const arguments& asked) {
  fuzz_case which = asked.file.empty() ? make_case(with, asked.campaign.seed,
                                                   static_cast<std::uint64_t>(asked.number))
                                       : fuzz_case::read(asked.file);
  trial in(with);
  verdict found = in.run(which);
  if (asked.shrink && !found.good()) {
    which = shrink(in, which, found.kind());
    found = in.run(which);
  }
  std::fputs(which.text().c_str(), stdout);
  if (found.good()) {
    std::printf("ended well after %ld ms\n", static_cast<long>(found.took.count()));
    return 0;
  }
  std::printf("%s, in: %s, after %ld ms\n", found.failure.c_str(), found.act.c_str(),
              static_cast<long>(found.took.count()));
  print_stack(found.stack);
  return 1;
}

// Returns: how many failed.
int replay_kept(const world& with, const std::string& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& each : std::filesystem::directory_iterator(folder)) {
    if (each.path().extension() == ".case") files.push_back(each.path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) refuse("found no case in " + folder + ", expected some");
  trial in(with);
  int failed = 0;
  for (const auto& each : files) {
    const fuzz_case what = fuzz_case::read(each.string());
    const std::string name = each.stem().string();
    if (!has_tool() && std::any_of(what.acts.begin(), what.acts.end(), is_of_tool)) {
      std::printf("SKIP: fuzz.%s: the build has no tool\n", name.c_str());
      continue;
    }
    const verdict found = in.run(what);
    if (found.good()) {
      std::printf("PASS: fuzz.%s\n", name.c_str());
    } else {
      std::printf("FAIL: fuzz.%s: %s, in: %s\n", name.c_str(), found.failure.c_str(),
                  found.act.c_str());
      ++failed;
    }
  }
  return failed;
}

// Returns: how many failures were not found, or not shrunk to themselves.
int test_itself(const world& with) {
  trial in(with);
  int missed = 0;
  for (const std::string& each : all_failures()) {
    const fuzz_case whole =
        fuzz_case::parse("scene deaths\nset record[0].note 5\ndo find\ndo " + each + "\ndo find\n");
    const bool hangs = each == "hang";
    const verdict found = in.run(whole, std::chrono::seconds(hangs ? 1 : 30));
    const fuzz_case small = hangs ? whole : shrink(in, whole, found.kind());
    const bool well = !found.good() && found.act == each &&
                      (hangs || (small.changes.empty() && small.acts == std::vector{each}));
    if (!well) ++missed;
    std::string name = each;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == ' ' || c == '\''; }, '_');
    std::printf("%s: fuzz.finds_%s%s\n", well ? "PASS" : "FAIL", name.c_str(),
                well ? "" : (": " + found.failure).c_str());
  }
  return missed;
}

int run(const arguments& asked) {
  if (asked.operations) {
    for (const auto& list : {all_operations(), operations_by_name()}) {
      for (const std::string& each : list) std::printf("%s\n", each.c_str());
    }
    return 0;
  }
  const world with;
  if (!asked.fields.empty()) {
    for (const auto& group : with.at(asked.fields).fields.groups()) {
      for (const field& each : group)
        std::printf("%-40s %8lu %6u\n", each.name.c_str(), static_cast<unsigned long>(each.offset),
                    each.size);
    }
    return 0;
  }
  if (!asked.file.empty() || asked.number >= 0) return replay(with, asked);
  if (asked.test_itself) return test_itself(with) == 0 ? 0 : 1;
  const int failed = asked.kept.empty() ? 0 : replay_kept(with, asked.kept);
  if (!asked.kept.empty() && !asked.limited) return failed == 0 ? 0 : 1;
  if (!has_tool()) std::printf("The build has no tool: its commands are left out.\n");
  const unsigned kinds = run_campaign(with, asked.campaign);
  const std::string which = "fuzz.random_cases_end_well";
  if (kinds == 0) {
    std::printf("PASS: %s\n", which.c_str());
  } else {
    std::printf("FAIL: %s: %u kinds of failures\n", which.c_str(), kinds);
  }
  return failed == 0 && kinds == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(read({argv + 1, argv + argc}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fuzz: %s\n", error.what());
    return 2;
  }
}
