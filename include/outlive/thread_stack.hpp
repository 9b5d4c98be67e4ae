// thread_stack: the stack of a thread, innermost frame first. Plain values: they stay valid when
// the thread is gone.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include <outlive/detail/export.hpp>

namespace outlive {

struct stack_frame {
  std::uint64_t address = 0;  // in the process that ran the code
  // From the module's load base, as `addr2line -e module offset` takes it; 0: module unknown.
  std::uint64_t offset = 0;
  std::string module;                 // path; empty: unknown
  std::string function;               // as the symbol table has it; empty: unknown
  std::uint64_t function_offset = 0;  // from the function's first instruction
  std::string build_id;               // of the module, raw bytes; empty: unknown

  bool operator==(const stack_frame&) const = default;
};

struct thread_stack {
  std::vector<stack_frame> frames;
  std::string problem;  // why there is no stack, in words; empty if there is one

  bool operator==(const thread_stack&) const = default;
};

// Fills in the function's name, if it is missing, from the symbol table of the module's file, if
// the file has the build id of the frame. Reads files; throws nothing but std::bad_alloc.
OUTLIVE_API void name_function(stack_frame& frame, bool is_return_address = true);

// Returns: "function+0x12 (/usr/lib/libx.so+0x345)", or less if less is known; the bare address if
//   nothing is.
[[nodiscard]] OUTLIVE_API std::string to_string(const stack_frame& frame);
// Returns: a line for each frame, "#0 ...", each with its line end; or the problem, with its line
//   end.
[[nodiscard]] OUTLIVE_API std::string to_string(const thread_stack& stack);

}  // namespace outlive
