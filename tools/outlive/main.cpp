// outlive: the command-line tool. Each command has a file; this one only dispatches.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <outlive/error.hpp>
#include <outlive/version.hpp>

#include "commands.hpp"
#include "output.hpp"

namespace {

// A service may be started without standard input, output or error. Files of the tool would then
// get their numbers, and its messages would be written into these. Their substitute is open for the
// other direction, so that a result that nobody gets is still an error.
void occupy_closed_standard_files() {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(number, F_GETFD) < 0)
      ::open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

int report_error(const CLI::App& tool, const std::exception& error) {
  const auto chosen = tool.get_subcommands();
  print_message(fmt::format("outlive{}: {}", chosen.empty() ? "" : " " + chosen[0]->get_name(),
                            error.what()));
  const auto* const system = dynamic_cast<const std::system_error*>(&error);
  return system != nullptr && system->code() == outlive::errc::invalid_name
             ? commands::usage_error
             : commands::system_error;
}

std::string usage_message(const CLI::App* tool, const CLI::Error& error) {
  const auto chosen = tool->get_subcommands();
  const auto unknown = tool->remaining();
  const std::string name = chosen.empty() ? "outlive" : "outlive " + chosen[0]->get_name();
  // If the command is unknown, CLI11 says only that one is missing.
  const bool is_no_command = chosen.empty() && !unknown.empty() && !unknown[0].starts_with('-');
  const std::string text = is_no_command
                               ? fmt::format("unknown command '{}'", printable(unknown[0]))
                               : printable(error.what());
  return fmt::format("{}: {}\nTry {} --help.\n", name, text, name);
}

// Where the description begins in a line of a help text: behind the first gap, or at its beginning
// if it goes on from the line before.
std::size_t description_in(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(' ');
  if (begin == line.npos || begin == 0 || begin > 20) return begin == line.npos ? 0 : begin;
  const std::size_t gap = line.find("  ", begin);
  return gap == line.npos ? begin : line.find_first_not_of(' ', gap);
}

// CLI11 does not wrap its lines. Without a terminal they stay whole, also for completion.
std::string fitted_help(const std::string& text, const terminal& on) {
  std::istringstream lines(text);
  std::string made;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = description_in(line);
    if (!on.is_one || line.size() <= on.width || at + 10 > on.width) {
      made += line + '\n';
      continue;
    }
    std::string before = line.substr(0, at);
    for (const std::string& part : wrapped_to(line.substr(at), on.width - at)) {
      made += before + part + '\n';
      before.assign(at, ' ');
    }
  }
  return made;
}

// `outlive help` and `outlive help COMMAND` are --help in another order.
std::vector<std::string> arguments_of(const CLI::App& tool, int argc, char** argv) {
  std::vector<std::string> all(argv + std::min(argc, 1), argv + argc);
  if (all.empty() || all[0] != "help") return all;
  all.erase(all.begin());
  const auto known = tool.get_subcommands(
      [&](const CLI::App* each) { return !all.empty() && each->get_name() == all[0]; });
  if (all.empty() || !known.empty()) all.emplace_back("--help");
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  occupy_closed_standard_files();
  CLI::App tool("Inspects and repairs locks that outlive their owners", "outlive");
  tool.set_version_flag("-V,--version", outlive::version());
  tool.require_subcommand(1);
  tool.failure_message(usage_message);
  tool.footer(
      "`outlive help COMMAND` says more of a command.\n"
      "Exit codes: 0 success, 1 a problem was found, 2 wrong usage, 3 it could not be done.");

  int exit_code = commands::success;
  for (const auto add : {
           commands::add_check,
           commands::add_deaths,
           commands::add_doctor,
           commands::add_ls,
           commands::add_metrics,
           commands::add_objects,
           commands::add_recover,
           commands::add_reset,
           commands::add_rm,
           commands::add_show,
           commands::add_stack,
           commands::add_supervise,
           commands::add_top,
           commands::add_torture,
       }) {
    add(tool, exit_code);
  }
  try {
    auto arguments = arguments_of(tool, argc, argv);
    std::reverse(arguments.begin(), arguments.end());  // parse() pops them from the end
    tool.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    write_result(fitted_help(tool.help(), terminal::of_stdout()));
  } catch (const CLI::ParseError& error) {
    // --version also comes this way
    return tool.exit(error) == 0 ? commands::success : commands::usage_error;
  } catch (const std::exception& error) {
    return report_error(tool, error);
  }
  return exit_code;
}
