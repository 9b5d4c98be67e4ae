// process_stacks: stacks of this process as functions and source lines.
//
// What libdw has read is kept until a module is loaded or unloaded: reading it takes as long as
// exploring a small scenario.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include <outlive/killtest/report.hpp>

#include "killtest/stores/run_code.hpp"
#include "killtest/stores/store_log.hpp"

namespace outlive::killtest::detail {

// A line that has code, and whether that was run.
struct run_line {
  std::string file;
  unsigned line = 0;
  std::string function;
  bool was_run = false;
};

class process_stacks {
 public:
  process_stacks();
  ~process_stacks();
  process_stacks(const process_stacks&) = delete;
  process_stacks& operator=(const process_stacks&) = delete;

  // The frames of a stack, inlined functions included, without those of the kit and of the standard
  // library.
  [[nodiscard]] std::vector<frame> describe(const stack_trace& trace);

  // The lines that have code, of all functions in the stacks described so far: sorted by file and
  // line, each once.
  [[nodiscard]] std::vector<code_line> code() const;

  // The lines of all functions of the program, outermost ones with what is inlined into them, that
  // were in while they held a mutex: sorted, each once.
  [[nodiscard]] std::vector<run_line> lines_run(const run_code& seen);

 private:
  struct debug_information;
  struct place;
  const place& place_at(std::uintptr_t address);
  void note_function(const place& here);

  static std::shared_ptr<debug_information> of_this_process();

  std::shared_ptr<debug_information> known_;
  std::unordered_set<const void*>
      noted_;  // functions, by the address of their debugging information
  std::vector<code_line> code_;
};

}  // namespace outlive::killtest::detail
