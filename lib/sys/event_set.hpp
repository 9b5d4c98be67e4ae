// Event sources behind one descriptor: an epoll set, and the three kinds of source that a
// supervisor needs besides processes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
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

// Readable when a period is over, until acknowledge(), however many periods have passed.
class repeating_timer {
 public:
  explicit repeating_timer(std::chrono::nanoseconds period);  // throws std::system_error
  [[nodiscard]] int fd() const noexcept { return timer_.get(); }
  void acknowledge() const noexcept;

 private:
  file_descriptor timer_;
};

// Readable from notify() until acknowledge().
class wake_up {
 public:
  wake_up();  // throws std::system_error
  [[nodiscard]] int fd() const noexcept { return event_.get(); }
  void notify() const noexcept;  // async-signal-safe, and from any thread
  void acknowledge() const noexcept;

 private:
  file_descriptor event_;
};

// Readable after any process has called announce_change() for the file. Also works for files
// without a name.
class change_watch {
 public:
  explicit change_watch(int file);  // throws std::system_error
  [[nodiscard]] int fd() const noexcept { return inotify_.get(); }
  void acknowledge() const noexcept;

 private:
  file_descriptor inotify_;
};

// Notifies all change_watches of the file. May fail silently: watchers look from time to time as
// well.
void announce_change(int file) noexcept;

}  // namespace outlive::detail
