// The commands of the tool: each adds itself to the command line, and puts its exit code where
// main() finds it.
#pragma once

namespace CLI {
class App;
}

namespace commands {

// For all commands. 0: all is well. 1: it was looked at, or tried, and something is wrong. 2: the
// arguments make no sense. 3: it could not be done, as for want of a segment, a permission or
// memory.
inline constexpr int success = 0, problem_found = 1, usage_error = 2, system_error = 3;

// An exception that a command ends with becomes usage_error (a name that no segment can have) or
// system_error, and a line on stderr: see main().

void add_check(CLI::App& tool, int& exit_code);
void add_deaths(CLI::App& tool, int& exit_code);
void add_doctor(CLI::App& tool, int& exit_code);
void add_ls(CLI::App& tool, int& exit_code);
void add_metrics(CLI::App& tool, int& exit_code);
void add_recover(CLI::App& tool, int& exit_code);
void add_reset(CLI::App& tool, int& exit_code);
void add_rm(CLI::App& tool, int& exit_code);
void add_show(CLI::App& tool, int& exit_code);
void add_stack(CLI::App& tool, int& exit_code);
void add_supervise(CLI::App& tool, int& exit_code);
void add_top(CLI::App& tool, int& exit_code);
void add_torture(CLI::App& tool, int& exit_code);

}  // namespace commands
