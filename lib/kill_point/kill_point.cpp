// Armed kill points. A point may be reached by any thread at any time, even in a signal handler. So
// all that it uses is made when the points are armed, and stays for the life of the process.
#include <outlive/kill_point.hpp>

#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "kill_point/kill_plan.hpp"
#include "sys/endings.hpp"
#include "sys/process.hpp"

namespace outlive {

kill_point_error::~kill_point_error() = default;

namespace detail {

std::atomic<bool> kill_points_armed{false};

namespace {

struct armed_plan {
  kill_plan plan;
  armed_plan* former;  // never freed: another thread may use it
};

std::atomic<armed_plan*> armed{nullptr};

// Random numbers of the process (splitmix64). Each takes one addition, so that threads need no
// lock.
std::atomic<std::uint64_t> stream{0};
std::atomic<pid_t> stream_of{0};

std::uint64_t mixed(std::uint64_t word) noexcept {
  word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
  word = (word ^ word >> 27) * 0x94d049bb133111eb;
  return word ^ word >> 31;
}

std::uint32_t draw() noexcept {
  const pid_t self = current_pid();
  pid_t of = stream_of.load(std::memory_order_relaxed);
  // A child with the numbers of its parent would die at the places of its siblings.
  if (of != self && stream_of.compare_exchange_strong(of, self, std::memory_order_relaxed)) {
    stream.fetch_xor(mixed(static_cast<std::uint64_t>(self)), std::memory_order_relaxed);
  }
  return static_cast<std::uint32_t>(
      mixed(stream.fetch_add(0x9e3779b97f4a7c15, std::memory_order_relaxed)) >> 32);
}

void seed(std::uint64_t from) noexcept {
  stream.store(from, std::memory_order_relaxed);
  stream_of.store(current_pid(), std::memory_order_relaxed);
}

void arm(std::unique_ptr<armed_plan> made) noexcept {
  const bool some = !made->plan.is_empty();
  made->former = armed.load(std::memory_order_acquire);
  while (!armed.compare_exchange_weak(made->former, made.get(), std::memory_order_acq_rel)) {
    // pairs with reach_kill_point()
  }
  static_cast<void>(made.release());
  kill_points_armed.store(some, std::memory_order_relaxed);
}

void warn(const std::string& text) {
  write_to_stderr("outlive: " + text + '\n');
}

void seed_from_environment() {
  const char* const text = environment("OUTLIVE_KILL_SEED");
  if (text == nullptr) {
    const std::uint64_t chosen = random_seed();
    warn("OUTLIVE_KILL has percentages; OUTLIVE_KILL_SEED=" + std::to_string(chosen) +
         " tries the same again");
    return seed(chosen);
  }
  const std::string_view all(text);
  std::uint64_t value = 0;
  const auto done = std::from_chars(all.data(), all.data() + all.size(), value);
  if (done.ec != std::errc{} || done.ptr != all.data() + all.size()) {
    throw std::invalid_argument("OUTLIVE_KILL_SEED: found \"" + std::string(all) +
                                "\", expected a number from 0 to 18446744073709551615");
  }
  seed(value);
}

// Returns: nullptr if the environment names no points.
std::unique_ptr<armed_plan> plan_of_environment() {
  const char* const text = environment("OUTLIVE_KILL");
  if (text == nullptr) return nullptr;
  auto made = [&] {
    try {
      return std::make_unique<armed_plan>(armed_plan{kill_plan(text), nullptr});
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(std::string("OUTLIVE_KILL: ") + error.what());
    }
  }();
  if (made->plan.is_random()) seed_from_environment();
  return made;
}

// A line of text, without allocation. What does not fit is cut off.
class line {
 public:
  void add(std::string_view text) noexcept {
    const std::size_t count = text.copy(text_.data() + used_, text_.size() - 1 - used_);
    used_ += count;
  }
  void add(pid_t number) noexcept {
    std::array<char, 16> digits;
    const auto done = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    add(std::string_view(digits.data(), static_cast<std::size_t>(done.ptr - digits.data())));
  }
  void print() noexcept {
    text_[used_++] = '\n';
    write_to_stderr({text_.data(), used_});
  }

 private:
  std::array<char, 512> text_;
  std::size_t used_ = 0;
};

void print(const char* name, std::string_view text) noexcept {
  line made;
  made.add("outlive: kill point ");
  made.add(name);
  made.add(", process ");
  made.add(current_pid());
  made.add(", thread ");
  made.add(current_tid());
  if (!text.empty()) made.add(": ");
  made.add(text);
  made.print();
}

void perform(const kill_step& step, const char* name) {
  switch (step.action) {
    case kill_action::off: return;
    case kill_action::kill: kill_this_process();
    case kill_action::segv: return store_to_null();
    case kill_action::abort: std::abort();
    case kill_action::exit: exit_now(static_cast<int>(step.number));
    case kill_action::thread_exit: exit_this_thread();
    case kill_action::throw_error:
      throw kill_point_error("kill point \"" + std::string(name) + "\" of OUTLIVE_KILL: throw");
    case kill_action::pause: return stop_this_process();
    case kill_action::sleep: return sleep_ms(step.number);
    case kill_action::print: return print(name, step.text);
  }
}

}  // namespace

void reach_kill_point(const char* name) {
  const armed_plan* const now = armed.load(std::memory_order_acquire);  // pairs with arm()
  if (now == nullptr) return;
  if (const kill_step* const step = now->plan.step_at(name, &draw)) perform(*step, name);
}

bool arm_kill_points_at_load() noexcept {
  try {
    arm_kill_points();
  } catch (const std::invalid_argument& error) {  // nobody is there to catch it
    warn(std::string(error.what()) + "; no kill point is armed");
  }
  return true;
}

}  // namespace detail

void arm_kill_points() {
  if (auto made = detail::plan_of_environment()) detail::arm(std::move(made));
}

void arm_kill_points(std::string_view text) {
  using namespace detail;
  auto made = std::make_unique<armed_plan>(armed_plan{kill_plan(text), nullptr});
  if (made->plan.is_random()) seed_from_environment();
  arm(std::move(made));
}

}  // namespace outlive
