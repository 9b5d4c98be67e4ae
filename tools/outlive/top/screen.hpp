// A terminal that is drawn as a whole, and restored at the end.
#pragma once

#include <termios.h>

#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include "output.hpp"
#include "process.hpp"
#include "top/keys.hpp"

namespace top {

// While it lives the terminal shows another screen, without a cursor, and sends each key at once.
// Signals that would end or stop the program are blocked and come as events, so that every way out
// but SIGKILL leads through the destructor.
class screen {
 public:
  // Errors: std::runtime_error if stdin or stdout is no terminal; std::system_error.
  screen();
  screen(const screen&) = delete;
  screen& operator=(const screen&) = delete;
  ~screen();

  struct event {
    key_press key;
    int signal = 0;  // one that asks the program to end; 0: none
    bool resized = false;
    bool closed = false;  // the terminal is gone
  };
  // Waits for a key, a signal or a new size, at most until the time is over: then the event is
  // empty.
  [[nodiscard]] event wait(std::chrono::nanoseconds at_most);

  // Draws the lines from the top; those that do not fit are left out. Requires: no line is wider
  // than the terminal.
  void draw(const std::vector<std::string>& lines);
  [[nodiscard]] const terminal& size() const noexcept { return size_; }

 private:
  void next_key(event& into);

  termios before_{};
  std::string typed_;  // not yet returned
  terminal size_;
  signal_queue signals_{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
};

}  // namespace top
