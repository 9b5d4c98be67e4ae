#include "top/screen.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace top {

namespace {

constexpr std::string_view enter = "\x1b[?1049h\x1b[?25l\x1b[2J", leave = "\x1b[?25h\x1b[?1049l";

// Ignores errors: the terminal may be gone.
void put(std::string_view text) noexcept {
  [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
}

}  // namespace

screen::screen() {
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) {
    // An error number would only add "Inappropriate ioctl for device".
    throw std::runtime_error("stdin and stdout must be a terminal (`outlive show` prints once)");
  }
  if (::tcgetattr(STDIN_FILENO, &before_) != 0)
    throw std::system_error(errno, std::generic_category(), "the terminal");
  termios raw = before_;
  ::cfmakeraw(&raw);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
  put(enter);
  size_ = terminal::of_stdout();
}

screen::~screen() {
  put(leave);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
}

screen::event screen::wait(std::chrono::nanoseconds at_most) {
  std::array<pollfd, 2> ready{{{STDIN_FILENO, POLLIN, 0}, {signals_.fd(), POLLIN, 0}}};
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(at_most).count();
  event found;
  if (!typed_.empty()) {
    next_key(found);
    return found;
  }
  if (::poll(ready.data(), ready.size(),
             static_cast<int>(std::clamp<long long>(ms, 0, 1'000'000))) <= 0)
    return found;
  while (const int signal = signals_.next()) {
    if (signal == SIGWINCH)
      found.resized = true;
    else if (signal != SIGTSTP)
      found.signal = signal;
  }
  if (found.resized) size_ = terminal::of_stdout();
  if (ready[0].revents != 0) {
    std::array<char, 64> bytes{};
    const auto count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    found.closed = count <= 0;
    if (count > 0) {
      typed_.assign(bytes.data(), static_cast<std::size_t>(count));
      next_key(found);
    }
  }
  return found;
}

void screen::next_key(event& into) {
  into.key = take_key(typed_);
  if (into.key.what == key_name::interrupt) into.signal = SIGINT;
}

void screen::draw(const std::vector<std::string>& lines) {
  std::string all = "\x1b[H";
  const std::size_t count = std::min(lines.size(), size_.height);
  for (std::size_t i = 0; i < count; ++i) {
    all += lines[i] + "\x1b[K";
    if (i + 1 < count) all += "\r\n";  // one after the last line would scroll
  }
  write_result(all + "\x1b[J");
}

}  // namespace top
