// outlive torture: kills copies of a program that uses outlive, again and again, and checks that
// the others go on. docs/man/outlive-torture.1.scd
#include <memory>
#include <random>

#include <CLI/CLI.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "inspect.hpp"
#include "output.hpp"
#include "process.hpp"
#include "torture/report.hpp"
#include "torture/run.hpp"
#include "torture/settings.hpp"

namespace commands {

namespace {

int torture_command(const torture::settings& wanted) {
  signals incoming;
  const torture::statistics stats = torture::run(wanted, incoming);
  write_result(wanted.json ? torture::as_json(wanted, stats) + "\n"
                           : torture::as_text(wanted, stats));
  if (stats.interrupted != 0) return 128 + stats.interrupted;
  return stats.problems.empty() ? success : problem_found;
}

}  // namespace

void add_torture(CLI::App& tool, int& exit_code) {
  CLI::App& command = *tool.add_subcommand(
      "torture",
      "Kill copies of a program that uses outlive, restart them, and check what they leave");
  const auto wanted = std::make_shared<torture::settings>();
  command
      .add_option("--segment", wanted->segment,
                  "Segment that the workers share; they may create it")
      ->required()
      ->transform(inspect::name_in, "")
      ->type_name("NAME");
  command.add_option("--workers", wanted->workers, "Number of copies that run at a time")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  add_duration_option(command, "--for", wanted->duration, "How long to kill, for example 30s")
      ->required();
  add_duration_option(command, "--every", wanted->every, "Mean time between two kills [5ms]");
  command.add_flag("--aim", wanted->aim, "Kill workers that hold a mutex");
  const CLI::Option* const seed = command.add_option(
      "--seed", wanted->seed, "Decides which workers are killed and when; random by default");
  CLI::Option* const check =
      command
          .add_option("--check", wanted->check,
                      "Command for /bin/sh at the end; its exit code is 0 if all is well")
          ->type_name("CMD");
  add_duration_option(command, "--check-every", wanted->check_every,
                      "Run the check during the run, too, and stop at the first that fails")
      ->needs(check);
  add_duration_option(command, "--check-limit", wanted->check_limit,
                      "A check that runs longer fails [60s]");
  command
      .add_option("--keep", wanted->keep,
                  "Stop at the first failure, repair nothing, and copy the segment to this file")
      ->type_name("FILE");
  add_duration_option(command, "--start-limit", wanted->start_limit,
                      "How long to wait for the segment [10s]");
  add_duration_option(command, "--grace", wanted->grace,
                      "Time from SIGTERM to SIGKILL at the end [2s]");
  command.add_flag("--json", wanted->json, "Print the result as one line of JSON");
  command.add_option("program", wanted->command, "After --: the worker and its arguments")
      ->required()
      ->type_name("PROGRAM ARGS...");

  command.callback([wanted, seed, &exit_code] {
    if (seed->count() == 0) wanted->seed = std::random_device{}();
    exit_code = torture_command(*wanted);
  });
}

}  // namespace commands
