// heir: what a surviving process does after the death, and what came of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include <outlive/killtest/report.hpp>
#include <outlive/killtest/scenario.hpp>

namespace outlive::killtest::detail {

struct judgement {
  verdict result = verdict::ok;
  std::string what;
  std::uint32_t recovered = 0;  // mutexes that dead threads had in hand
  std::uint32_t repaired = 0;
};

// Recovers everything, in the calling process; then takes and gives back each of the mutexes
// (offsets). The invariant is not asked.
[[nodiscard]] judgement recover_all(segment& seg, std::span<const std::uint64_t> mutexes);
// The same, and the invariant.
[[nodiscard]] judgement judge(const scenario& what, segment& seg,
                              std::span<const std::uint64_t> mutexes);

// What a message calls the object at this offset: its name in quotes, or the offset.
[[nodiscard]] std::string name_of(const segment& seg, std::uint64_t offset);
// Where bytes are, for messages: "in \"accounts\", at offset 9280", or the offset alone.
[[nodiscard]] std::string place_of(const segment& seg, std::uint64_t offset);

// Heirs: processes that judge the state that stands in the segment, one after the other.
class survivors {
 public:
  static constexpr std::size_t max_mutexes = 4096;  // more are not tried

  // With `isolate`, each state gets a process of its own. `limit`: for one judgement. Throws
  // std::system_error.
  survivors(const scenario& what, segment& seg, bool isolate, std::chrono::milliseconds limit);
  ~survivors();
  survivors(const survivors&) = delete;
  survivors& operator=(const survivors&) = delete;

  // Starts one, which takes a thread record. Requires: there is none; the segment is in the state
  // without any death. Blocks: within the limit.
  // Throws std::system_error; std::runtime_error, which says why, when the heir does not come so
  //   far.
  void start();
  // What an heir makes of the state that stands in the segment, and of these mutexes (offsets).
  // Requires: start() after one that is gone.
  [[nodiscard]] judgement ask(std::span<const std::uint64_t> mutexes);
  // The same about another file's bytes, in a process of its own.
  [[nodiscard]] judgement ask_about(int fd, std::span<const std::uint64_t> mutexes);
  // Whether there is nobody to ask.
  [[nodiscard]] bool is_gone() const noexcept { return pid_ == 0 && !isolate_; }

 private:
  struct shared;
  [[noreturn]] void serve();
  void answer();
  [[nodiscard]] judgement read() const;
  [[nodiscard]] judgement ask_a_fresh_one(int fd);
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
  std::string before_;  // the segment's bytes before the heir took its record
};

}  // namespace outlive::killtest::detail
