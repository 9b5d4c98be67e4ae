// The commands of the tool: each adds itself to the command line, and puts its exit code where main() finds it.
#pragma once

namespace CLI {
class App;
}

namespace commands {

// For all commands: 0 all is well, 1 something is wrong with what was looked at, 2 the command could not do its work.
inline constexpr int fine = 0, something_wrong = 1, could_not_run = 2;

void add_torture(CLI::App& tool, int& exit_code);

}  // namespace commands
