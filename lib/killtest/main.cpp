#include <outlive/killtest/main.hpp>

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <system_error>

#include <outlive/killtest/coverage.hpp>
#include <outlive/killtest/explore.hpp>
#include <outlive/killtest/files.hpp>
#include <outlive/killtest/replay.hpp>

#include "killtest/report/report_text.hpp"

namespace outlive::killtest {

using namespace detail;

namespace {

enum exit_code { all_ok = 0, some_failed = 1, could_not_run = 2 };

struct command_line {
  std::vector<std::string> names;
  explore_options how;
  std::string engine = "automatic";
  bool list = false;
  bool json = false;
  std::string junit;
  std::string lcov;
  std::string html;
  std::string sarif;
  std::string state;
  bool annotations = false;
  std::string replay;
  std::string merge;
};

const std::map<std::string, engine>& engines() {
  static const std::map<std::string, engine> all{{"automatic", engine::automatic},
                                                 {"protection-keys", engine::protection_keys},
                                                 {"page-protection", engine::page_protection},
                                                 {"single-step", engine::single_step}};
  return all;
}

std::vector<std::string> engine_names() {
  std::vector<std::string> names;
  for (const auto& each : engines()) names.push_back(each.first);
  return names;
}

void declare(CLI::App& app, command_line& given) {
  app.add_option("SCENARIO", given.names, "the scenarios to explore; all if none is named");
  app.add_flag("--list", given.list, "print the names of the scenarios");
  app.add_option("--engine", given.engine,
                 "how stores are seen: automatic, protection-keys, page-protection or single-step")
      ->check(CLI::IsMember(engine_names()))
      ->option_text("NAME");
  app.add_flag("--isolate", given.how.isolate, "a process for each state");
  app.add_option("--depth", given.how.depth, "deaths in a row")
      ->check(CLI::PositiveNumber)
      ->option_text("N");
  app.add_option_function<double>(
         "--budget",
         [&given](double seconds) {
           given.how.budget = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
         },
         "how long the search of a scenario may take, in seconds; 0: no limit (30)")
      ->check(CLI::Range(0.0, 1e9))
      ->option_text("SECONDS");
  app.add_option("--max-alone", given.how.max_alone,
                 "how many mutexes of a state are tried as the first that is recovered")
      ->option_text("N");
  app.add_option("--seed", given.how.seed, "selects the passing states that are confirmed")
      ->option_text("N");
  app.add_option("--confirm", given.how.confirm, "how many states are confirmed by a real SIGKILL")
      ->option_text("N");
  app.add_option("--coverage", given.how.coverage,
                 "write what the scenarios came to there, for --merge-coverage")
      ->option_text("DIR");
  app.add_option("--merge-coverage", given.merge,
                 "explore nothing; print the lines that no scenario of this folder came to")
      ->option_text("DIR");
  app.add_option("--images", given.how.images, "write images of failing states there")
      ->option_text("DIR");
  app.add_option("--junit", given.junit, "write a JUnit XML file")->option_text("FILE");
  app.add_option("--lcov", given.lcov, "write a tracefile for genhtml")->option_text("FILE");
  app.add_option("--sarif", given.sarif, "write a SARIF file, for code hosts")->option_text("FILE");
  app.add_flag(
      "--annotations", given.annotations,
      "print failures as annotations of GitHub Actions; always where GITHUB_ACTIONS is set");
  app.add_option("--state", given.state, "explore until this state alone: its hash in the summary")
      ->check([](const std::string& text) {
        return !text.empty() && text.size() <= 16 &&
                       text.find_first_not_of("0123456789abcdef") == std::string::npos
                   ? std::string()
                   : "found " + text + ", expected a hash of up to 16 hexadecimal digits";
      })
      ->option_text("HASH");
  app.add_option("--html", given.html, "write a page for people")->option_text("FILE");
  app.add_flag("--json", given.json, "print the reports as JSON");
  app.add_option("--replay", given.replay, "repair this image in this process")
      ->option_text("FILE");
  app.footer("Exit code: 0 all states passed, 1 some failed, 2 something could not run.");
}

std::string names_of(const std::vector<scenario>& all) {
  std::string text;
  for (const scenario& each : all) text += (text.empty() ? "" : ", ") + each.name;
  return text;
}

std::vector<const scenario*> choose(const std::vector<scenario>& from,
                                    const std::vector<std::string>& names) {
  std::vector<const scenario*> chosen;
  for (const scenario& each : from) {
    if (names.empty() || std::find(names.begin(), names.end(), each.name) != names.end())
      chosen.push_back(&each);
  }
  for (const std::string& name : names) {
    if (std::any_of(from.begin(), from.end(),
                    [&](const scenario& each) { return each.name == name; }))
      continue;
    throw std::runtime_error("found the scenario \"" + name +
                             "\", expected one of: " + names_of(from));
  }
  if (chosen.empty())
    throw std::runtime_error("found a program without scenarios, expected at least one");
  return chosen;
}

// In colour on a terminal.
std::string headline(const std::string& word, bool good) {
  if (::isatty(STDOUT_FILENO) == 0 || std::getenv("NO_COLOR") != nullptr) return word;
  return (good ? "\x1b[1;32m" : "\x1b[1;31m") + word + "\x1b[0m";
}

void print(const report& found) {
  const bool explored = found.fault.empty() && !found.states.empty();
  std::cout << headline(found.ok() ? "ok"
                        : explored ? "FAILED"
                                   : "NOT EXPLORED",
                        found.ok())
            << ' ' << found.summary() << std::flush;
}

report explore_one(const char* program, const scenario& what, const explore_options& how,
                   code_build built) {
  report found;
  try {
    found = explore(what, how, built);
  } catch (const std::exception& error) {
    found.fault = error.what();
  }
  found.scenario = what.name;
  found.command = quoted_for_shell(program) + ' ' + quoted_for_shell(what.name);
  return found;
}

// Of GitHub Actions: a line on stdout for each kind of failure, with file and line.
std::string annotations_of(const report& of) {
  const auto quoted = [](std::string_view text) {
    std::string made;
    for (const char each : text) {
      switch (each) {
        case '%': made += "%25"; break;
        case '\r': made += "%0D"; break;
        case '\n': made += "%0A"; break;
        default: made += each;
      }
    }
    return made;
  };
  std::string text;
  if (!of.fault.empty())
    text += "::error title=kill test::" + quoted(of.scenario + ": " + of.fault) + '\n';
  for (const failure_kind& each : kinds_of_failures(of)) {
    text += "::error ";
    if (const frame* const at = of.place_of(*each.first))
      text += "file=" + quoted(at->file) + ",line=" + std::to_string(at->line) + ',';
    text += "title=kill test::" +
            quoted(of.scenario + ": " + std::string(to_string(each.first->result)) + ": " +
                   each.first->what) +
            '\n';
  }
  return text;
}

void write_files(const command_line& given, const std::vector<report>& reports) {
  if (!given.junit.empty()) write_junit(reports, given.junit);
  if (!given.lcov.empty()) write_lcov(reports, given.lcov);
  if (!given.sarif.empty()) write_sarif(reports, given.sarif);
  if (!given.html.empty()) write_html(reports, given.html);
}

int explore_all(const char* program, const command_line& given,
                const std::vector<const scenario*>& chosen, code_build built) {
  if (!given.how.images.empty()) std::filesystem::create_directories(given.how.images);
  std::vector<report> reports;
  for (const scenario* each : chosen) {
    reports.push_back(explore_one(program, *each, given.how, built));
    if (given.json) continue;
    print(reports.back());
    if (given.annotations || std::getenv("GITHUB_ACTIONS") != nullptr)
      std::cout << annotations_of(reports.back()) << std::flush;
  }
  if (given.json) std::cout << to_json(reports) << std::flush;
  write_files(given, reports);
  if (std::any_of(reports.begin(), reports.end(),
                  [](const report& each) { return each.failed() != 0; }))
    return some_failed;
  return std::all_of(reports.begin(), reports.end(), [](const report& each) { return each.ok(); })
             ? all_ok
             : could_not_run;
}

int replay_one(const command_line& given, const std::vector<const scenario*>& chosen) {
  if (chosen.size() != 1) {
    throw std::runtime_error("--replay: found " + std::to_string(chosen.size()) +
                             " scenarios, expected the one that the image belongs to");
  }
  const replayed made = replay(*chosen.front(), given.replay);
  const bool good = made.result == verdict::ok;
  std::cout << headline(std::string(to_string(made.result)), good)
            << (made.what.empty() ? "" : ": ") << made.what << " (" << made.recovered
            << " in hand of dead threads, " << counted(made.repaired, "repair") << ")\n"
            << std::flush;
  return good ? all_ok : some_failed;
}

// Holes are no failure: the reader decides which of them matter.
int merge_coverage(const command_line& given) {
  const coverage all = read_coverage(given.merge);
  std::cout << (given.json ? to_json(all) : all.summary()) << std::flush;
  if (!given.lcov.empty()) write_lcov(all, given.lcov);
  return all_ok;
}

int run_checked(int argc, char** argv, const std::vector<scenario>& scenarios, code_build built) {
  CLI::App app(
      "Kills owners of robust mutexes after each of their stores, and lets heirs repair what they "
      "left.");
  command_line given;
  declare(app, given);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? all_ok : could_not_run;
  }
  given.how.with = engines().at(given.engine);
  given.how.sources = !given.lcov.empty() || !given.html.empty();
  if (given.list) {
    for (const scenario& each : scenarios) std::cout << each.name << '\n';
    return all_ok;
  }
  if (!given.merge.empty()) return merge_coverage(given);
  const auto chosen = choose(scenarios, given.names);
  if (!given.state.empty()) {
    if (chosen.size() != 1)
      throw std::runtime_error("--state: found " + std::to_string(chosen.size()) +
                               " scenarios, expected the one that the state belongs to");
    given.how.only_state = std::stoull(given.state, nullptr, 16);
  }
  return given.replay.empty() ? explore_all(argv[0], given, chosen, built)
                              : replay_one(given, chosen);
}

// A write beyond RLIMIT_FSIZE is an error like others while this lives. It used to end the process,
// without a word.
class no_end_by_file_size {
 public:
  no_end_by_file_size() noexcept : former_(::signal(SIGXFSZ, SIG_IGN)) {}
  ~no_end_by_file_size() {
    if (former_ != SIG_ERR) ::signal(SIGXFSZ, former_);
  }
  no_end_by_file_size(const no_end_by_file_size&) = delete;
  no_end_by_file_size& operator=(const no_end_by_file_size&) = delete;

 private:
  void (*former_)(int);
};

// What nobody could read has not been told.
int with_all_told(int code) {
  errno = 0;
  if (std::cout.flush()) return code;
  const int why = errno != 0 ? errno : EIO;
  if (code == all_ok) throw std::system_error(why, std::generic_category(), "stdout");
  return code;
}

}  // namespace

int run(int argc, char** argv, const std::vector<scenario>& scenarios, code_build built) noexcept {
  const no_end_by_file_size errors_only;
  try {
    return with_all_told(run_checked(argc, argv, scenarios, built));
  } catch (const std::exception& error) {
    std::cerr << argv[0] << ": " << error.what() << '\n';
  } catch (...) {
    std::cerr << argv[0] << ": an exception that is no std::exception\n";
  }
  return could_not_run;
}

}  // namespace outlive::killtest
