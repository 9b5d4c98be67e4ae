// Event sources behind one descriptor: an epoll set, and the three kinds of source that a
// supervisor needs besides processes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "sys/file_descriptor.hpp"

namespace outlive::detail {

// Readable (for poll, select, another epoll) while any of its sources is. Functions that are not
// noexcept throw std::system_error, with EBADF if somebody else has closed the descriptor.
class event_set {
 public:
  event_set();
  [[nodiscard]] int fd() const noexcept { return epoll_.get_if_ours(); }
  void add(int source, std::uint64_t key);
  void remove(int source) noexcept;
  // Returns: at most `most` keys of sources that are readable now, without waiting. A source may
  //   have been removed since.
  [[nodiscard]] std::vector<std::uint64_t> ready(std::size_t most) const;
  // Waits until a source is readable, or a signal arrives.
  void wait() const;

 private:
  file_descriptor epoll_;
};

// A descriptor that is readable after some event, until acknowledge(). Constructors of the classes
// below throw std::system_error.
class event_source {
 public:
  [[nodiscard]] int fd() const noexcept { return source_.get(); }
  void acknowledge() const noexcept;

 protected:
  explicit event_source(file_descriptor source) noexcept : source_(std::move(source)) {}
  file_descriptor source_;
};

// After each period, however many have passed.
class repeating_timer : public event_source {
 public:
  explicit repeating_timer(std::chrono::nanoseconds period);
};

// After notify().
class wake_up : public event_source {
 public:
  wake_up();
  void notify() const noexcept;  // async-signal-safe, and from any thread
};

// After announce_change() was called for the file, by any process. Also works for files without a
// name.
class change_watch : public event_source {
 public:
  explicit change_watch(int file);
};

// Notifies all change_watches of the file. May fail silently: watchers look from time to time as
// well.
void announce_change(int file) noexcept;

}  // namespace outlive::detail
