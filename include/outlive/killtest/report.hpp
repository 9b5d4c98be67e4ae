// report: what explore() found. A plain value that you can assert on, print, or write to a file.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include <outlive/detail/export.hpp>

namespace outlive::killtest {

enum class verdict {
  ok,
  invariant_violated,   // the invariant said what is wrong
  repair_failed,        // a repair returned `failed` or threw, or a mutex is not recoverable
  repair_crashed,       // a signal ended the heir
  repair_hung,          // the heir was not done in time
  lock_never_released,  // a mutex is held, and nobody is there to release it
  model_differs,        // a real SIGKILL left other bytes, or the heir came to another verdict
};
[[nodiscard]] OUTLIVE_API std::string_view to_string(verdict which) noexcept;

enum class engine {
  // Protection keys, or page protection if there are none; single steps if system calls of the
  // victim write into the segment.
  automatic,
  protection_keys,  // each store faults, by a protection key (PKU): no system call for a store
  page_protection,  // each store faults, by mprotect()
  single_step,      // ptrace: every instruction, and a comparison of the segment
};
[[nodiscard]] OUTLIVE_API std::string_view to_string(engine which) noexcept;

// A place in code. A stack is a list of frames, innermost first.
struct frame {
  std::uintptr_t address = 0;
  std::string function;  // empty if it is not known
  std::string file;      // empty without debugging information
  unsigned line = 0;
};

// A source line that has code.
struct code_line {
  std::string file;
  unsigned line = 0;
  std::string function;  // that contains the line
};

// One death on the way to a crash state.
struct death {
  std::size_t store = 0;  // how many stores to the segment the victim, or heir, had made; 0: none
  // Right before its next store: what it did in between was on the kernel's list of robust locks.
  bool before_next = false;
  std::size_t stack = 0;  // index into report::stacks: where its last store was made
  // Of an heir that recovered one mutex and left the others: the object that has the mutex, in
  // quotes, or its offset. Empty otherwise.
  std::string alone;
};

// One distinct state that a death can leave.
struct crash_state {
  // Of the segment's bytes, without thread ids and list pointers: the same in each run.
  std::uint64_t hash = 0;
  // The victim's; then those of heirs, in their repairs. Empty when the victim came to its end.
  std::vector<death> deaths;
  verdict result = verdict::ok;
  std::string what;        // what is wrong, in words
  std::string repaired;    // whose repairs ran in the heir, in order: "left", "right"
  bool confirmed = false;  // a real SIGKILL left these bytes, and the heir came to this verdict
  std::string image;       // the file crash-HASH.seg, if one was written
};

struct report {
  std::string scenario;
  engine used = engine::automatic;
  std::string engine_reason;        // why that one
  std::size_t stores = 0;           // that the victim made
  std::size_t points = 0;           // deaths: after each store, for each list of robust locks
  std::size_t nested_points = 0;    // deaths of heirs, in their repairs
  std::size_t repairs = 0;          // how often a repair ran
  std::size_t confirmed = 0;        // states that a real SIGKILL confirmed
  std::vector<crash_state> states;  // distinct ones
  std::vector<std::vector<frame>> stacks;
  // By stack: how many of the points, heirs' included, were there. Each left one of `states`.
  std::vector<std::size_t> points_at;
  // Of the functions in the stacks, by file and line, each once. Empty without debugging
  // information.
  std::vector<code_line> code;
  std::vector<std::string> cut;  // what was left out, and which option says so
  std::vector<std::string> warnings;
  // What explore() took out for a trial without any state failing: repairs, and crash barriers of a
  // program that lets it see them (<outlive/crash_barrier.hpp>). Nothing shows that they are
  // needed.
  std::vector<std::string> made_no_difference;
  // Stores within a transaction to bytes that it had not saved: where they went, and where they
  // were made. A roll-back would not undo them. Only of transactions that tell the kit
  // (<outlive/killtest/transaction_watch.hpp>).
  std::vector<std::string> unsaved;
  // Whether the search ended at explore_options::only_state.
  bool only_one = false;
  // The command that explores this scenario again, if main() is run(); empty otherwise.
  std::string command;
  std::string fault;  // why nothing could be explored; empty otherwise
  std::chrono::nanoseconds took{0};

  // True if something was killed, and every state came out well.
  [[nodiscard]] OUTLIVE_API bool ok() const noexcept;
  [[nodiscard]] OUTLIVE_API std::size_t failed() const noexcept;
  // The first failing state, or nullptr.
  [[nodiscard]] OUTLIVE_API const crash_state* first_failure() const noexcept;
  // Where a failing state's last death was: the innermost frame with a source line that is neither
  // outlive's nor the C library's; nullptr if there is none.
  [[nodiscard]] OUTLIVE_API const frame* place_of(const crash_state& state) const noexcept;
  // For people: counts, and the first failure of each kind, with the place of the kill. Failures
  // that differ in numbers only are of one kind.
  [[nodiscard]] OUTLIVE_API std::string summary() const;
};

OUTLIVE_API std::ostream& operator<<(std::ostream& to, const report& what);

// "bank.cpp:28 in transfer() <- worker() bank.cpp:34", without the calls inside of outlive.
[[nodiscard]] OUTLIVE_API std::string to_string(const std::vector<frame>& stack);

}  // namespace outlive::killtest
