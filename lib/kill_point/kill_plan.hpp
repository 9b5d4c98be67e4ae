// kill_plan: OUTLIVE_KILL, parsed. The grammar is in outlive/kill_point.hpp.
//
// Made once. From then on only its counters change, so that a point that is reached allocates
// nothing and waits for nobody.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace outlive::detail {

enum class kill_action {
  off,
  kill,
  segv,
  abort,
  exit,
  thread_exit,
  throw_error,
  pause,
  sleep,
  print
};

struct kill_step {
  static constexpr std::uint32_t unlimited = ~std::uint32_t{0};

  kill_action action = kill_action::off;
  std::uint64_t chance = 0;                    // of 2^32, which is always
  std::uint32_t number = 0;                    // of exit and sleep
  std::string text;                            // of print
  std::atomic<std::uint32_t> left{unlimited};  // how often it can still be done

  // Uses one of what is left. Returns: false if none is left.
  [[nodiscard]] bool use_one() noexcept;
};

struct kill_rule {
  std::string name;
  std::vector<std::unique_ptr<kill_step>> steps;
};

class kill_plan {
 public:
  // Throws std::invalid_argument. The message has the column, what was found, and what was
  // expected.
  explicit kill_plan(std::string_view text);

  // The step to do at this point now, or nullptr. `draw` returns 32 random bits.
  [[nodiscard]] const kill_step* step_at(std::string_view point,
                                         std::uint32_t (*draw)() noexcept) const noexcept;
  [[nodiscard]] bool is_empty() const noexcept { return rules_.empty(); }
  // Whether it has a percentage.
  [[nodiscard]] bool is_random() const noexcept;

 private:
  std::vector<kill_rule> rules_;
};

}  // namespace outlive::detail
