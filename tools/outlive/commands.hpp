// The commands of the tool. Each adds itself to the command line, and stores its exit code in a
// variable of main().
#pragma once

namespace CLI {
class App;
}

namespace commands {

// Exit codes of all commands. 1: the command ran and found a problem. 2: the arguments make no
// sense. 3: it could not run, for example without a segment, a permission or memory.
inline constexpr int success = 0, problem_found = 1, usage_error = 2, system_error = 3;

// main() turns an exception of a command into a line on stderr, and into usage_error (a name that
// no segment can have) or system_error.

void add_check(CLI::App& tool, int& exit_code);
void add_deaths(CLI::App& tool, int& exit_code);
void add_doctor(CLI::App& tool, int& exit_code);
void add_ls(CLI::App& tool, int& exit_code);
void add_metrics(CLI::App& tool, int& exit_code);
void add_objects(CLI::App& tool, int& exit_code);
void add_recover(CLI::App& tool, int& exit_code);
void add_reset(CLI::App& tool, int& exit_code);
void add_rm(CLI::App& tool, int& exit_code);
void add_show(CLI::App& tool, int& exit_code);
void add_stack(CLI::App& tool, int& exit_code);
void add_supervise(CLI::App& tool, int& exit_code);
void add_top(CLI::App& tool, int& exit_code);
void add_torture(CLI::App& tool, int& exit_code);

}  // namespace commands
