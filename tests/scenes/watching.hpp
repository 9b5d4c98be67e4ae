// A supervisor under test: its reports are kept, and every wait for them is bounded.
#pragma once

#include <poll.h>

#include <algorithm>
#include <string>
#include <vector>

#include <outlive/outlive.hpp>

#include "support/bounded.hpp"

namespace outlive::testing {

/// Sweeps so rarely that only the first sweep finds anything in a test.
inline supervisor_options without_sweeps() {
  supervisor_options options;
  options.sweep = std::chrono::hours(1);
  return options;
}

inline supervisor_options sweeping_often() {
  supervisor_options options;
  options.sweep = milliseconds(5);
  return options;
}

class watching {
 public:
  explicit watching(const segment& seg, const supervisor_options& options = without_sweeps())
      : watch_(seg, options) {
    watch_.on_death([this](const participant_death& death) { deaths.push_back(death); });
    watch_.on_error([this](const std::system_error& error) { errors.push_back(error.what()); });
    watch_.dispatch();  // finds the processes that are attached by now
  }

  supervisor& operator*() { return watch_; }
  supervisor* operator->() { return &watch_; }

  /// Dispatches whenever the descriptor is readable, until the predicate holds (true) or the time
  /// is over.
  template <typename Predicate>
  bool until(Predicate predicate, milliseconds limit = default_timeout()) {
    const deadline end(limit);
    while (!predicate()) {
      if (end.passed()) return false;
      pollfd due{watch_.fd(), POLLIN, 0};
      if (poll(&due, 1, static_cast<int>(end.left().count())) == 1) watch_.dispatch();
    }
    return true;
  }
  bool until_dead(pid_t pid, pid_t tid = 0) {
    return until([&] { return find(pid, tid) != nullptr; });
  }
  const participant_death* find(pid_t pid, pid_t tid = 0) const {
    const auto at = std::find_if(deaths.begin(), deaths.end(), [&](const auto& each) {
      return each.pid == pid && each.tid == tid;
    });
    return at == deaths.end() ? nullptr : &*at;
  }
  /// Whether the descriptor says that there is nothing to do.
  bool idle() {
    pollfd due{watch_.fd(), POLLIN, 0};
    return poll(&due, 1, 0) == 0;
  }

  std::vector<participant_death> deaths;
  std::vector<std::string> errors;

 private:
  supervisor watch_;
};

}  // namespace outlive::testing
