// The command-line tool as a process of its own, and what came of it.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace outlive::fuzz {

struct tool_run {
  int exit_code = 0;
  std::string out, err;
  std::string failure;  // empty: it ended by itself in time
};

// Runs the program, argv[0], and waits. With a terminal: keys are sent to it, one after each whole
// picture, and what it draws is not kept.
// Throws std::system_error where it cannot be started.
[[nodiscard]] tool_run run_tool(const std::vector<std::string>& argv,
                                std::chrono::milliseconds limit);
[[nodiscard]] tool_run run_tool_in_terminal(const std::vector<std::string>& argv,
                                            std::chrono::milliseconds limit,
                                            const std::string& keys);

}  // namespace outlive::fuzz
