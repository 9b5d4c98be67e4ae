// survivors: processes that recover a crash state as heirs, and judge it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <outlive/killtest/report.hpp>
#include <outlive/killtest/scenario.hpp>

#include "killtest/process/child_process.hpp"

namespace outlive::killtest::detail {

struct judgement {
  verdict result = verdict::ok;
  std::string what;
  std::uint32_t recovered = 0;  // mutexes that dead threads had in hand
  std::uint32_t repaired = 0;
  std::string repairs = {};  // the mutexes whose repair ran, in order: "left", "right"
  std::vector<std::uintptr_t> crashed_at = {};  // the stack of the signal that ended the heir
};

// Registers the repairs of the scenario in the calling process.
[[nodiscard]] std::vector<repair_registration> register_repairs(const scenario& what, segment& seg);

// Recovers everything, in the calling process. Then acquires and releases each of the mutexes
// (offsets). Does not check the invariant.
[[nodiscard]] judgement recover_all(segment& seg, std::span<const std::uint64_t> mutexes);
// Recovers one mutex (offset), as who locks it does. A repair may do so with others.
void recover_alone(segment& seg, std::uint64_t mutex);
// Gives each of the mutexes (offsets) whose owner died inside the state that the last but one heir
// leaves if it dies before its repair's first store.
void use_up_attempts(segment& seg, std::span<const std::uint64_t> mutexes);
// Also checks the invariant.
[[nodiscard]] judgement judge(const scenario& what, segment& seg,
                              std::span<const std::uint64_t> mutexes);

struct object_place {
  std::string name;        // of the object; empty if there is none
  std::string type;        // of the object, as the directory has it
  std::size_t offset = 0;  // from its begin
};
[[nodiscard]] object_place object_at(const segment& seg, std::uint64_t offset);
// The name of the object at this offset, in quotes; or the offset.
[[nodiscard]] std::string name_of(const segment& seg, std::uint64_t offset);
// The place of a bit of the segment, for messages: "in \"accounts\", at byte 32 of it
// (accounts.undo.valid)", without the member if there is no debugging information of it; or the
// byte's offset in the segment.
[[nodiscard]] std::string place_of(const segment& seg, std::uint64_t bit);

// One process judges the states in the segment, one after the other; or, isolated, one for each.
class survivors {
 public:
  static constexpr std::size_t max_mutexes = 4096;  // more are not tried

  // `isolate`: a process for each state. `limit`: for one judgement. Throws std::system_error.
  survivors(const scenario& what, segment& seg, bool isolate, std::chrono::milliseconds limit);
  ~survivors();
  survivors(const survivors&) = delete;
  survivors& operator=(const survivors&) = delete;

  // Starts the process, which claims a thread record.
  // Requires: there is none; the segment is in the state without any death.
  // Throws: std::system_error; std::runtime_error, with the reason, if the process does not get so
  //   far.
  // Blocks: within the limit.
  void start();
  // Judges the state in the segment, with these mutexes (offsets).
  // Requires: start() after a process that is gone.
  [[nodiscard]] judgement ask(std::span<const std::uint64_t> mutexes);
  // The same, with a repair of this mutex that does nothing. Returns: nullopt if the scenario
  // registers a repair for the mutex itself, and not for its class: then it cannot be taken out.
  [[nodiscard]] std::optional<judgement> ask_without_repair(std::span<const std::uint64_t> mutexes,
                                                            std::uint64_t of);
  // The same, with all attempts but the last one used up, as by heirs that died at once: what a
  // repair does at its last attempt.
  [[nodiscard]] judgement ask_at_last_attempt(std::span<const std::uint64_t> mutexes);
  // Judges the bytes of another file, in a process of its own.
  [[nodiscard]] judgement ask_about(int fd, std::span<const std::uint64_t> mutexes);
  // Whether the process is gone.
  [[nodiscard]] bool is_gone() const noexcept { return pid_ == 0 && !isolate_; }

 private:
  struct shared;
  [[noreturn]] void serve();
  void report_crashes();
  void answer();
  [[nodiscard]] judgement read() const;
  [[nodiscard]] judgement ask_a_fresh_one(int fd);
  [[nodiscard]] judgement crash(const process_end& ended) const;
  [[nodiscard]] judgement ask();
  void ask_for(std::span<const std::uint64_t> mutexes) noexcept;
  [[nodiscard]] judgement wait_for_answer(std::uint32_t number);
  void end() noexcept;

  const scenario& what_;
  segment& seg_;
  bool isolate_;
  std::chrono::milliseconds limit_;
  shared* shared_ = nullptr;
  int pid_ = 0;
  std::uint32_t asked_ = 0;
  std::string before_;  // the segment's bytes before the process claimed its record
};

}  // namespace outlive::killtest::detail
