// outlive: the command-line tool. One file a command; this one only chooses.
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include <outlive/version.hpp>

#include "commands.hpp"

int main(int argc, char** argv) {
  CLI::App tool("Looks after locks that outlive their owners", "outlive");
  tool.set_version_flag("-V,--version", outlive::version());
  tool.require_subcommand(1);

  int exit_code = commands::fine;
  commands::add_torture(tool, exit_code);
  try {
    tool.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return tool.exit(error) == 0 ? commands::fine : commands::could_not_run;  // --help and --version come this way, too
  } catch (const std::exception& error) {
    std::fprintf(stderr, "outlive: %s\n", error.what());
    return commands::could_not_run;
  }
  return exit_code;
}
