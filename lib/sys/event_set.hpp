// Event sources behind one descriptor: epoll, and the three kinds of sources that a supervisor
// needs beside processes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sys/shared_memory.hpp"

namespace outlive::detail {

// Readable (for poll, select, another epoll) while any of its sources is. What can throw throws
// std::system_error; EBADF when somebody else has closed its descriptor.
class event_set {
 public:
  event_set();
  [[nodiscard]] int fd() const noexcept { return epoll_.get_if_ours(); }
  void add(int source, std::uint64_t key);
  void remove(int source) noexcept;
  // The keys of sources that are readable now, at most `most` of them; does not wait. A key may
  // stand there whose source was removed since.
  [[nodiscard]] std::vector<std::uint64_t> ready(std::size_t most) const;
  // Waits until one is readable. A signal ends the wait, too.
  void wait() const;

 private:
  file_descriptor epoll_;
};

// Readable once a period is over, until it is acknowledged, however many have passed by then.
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

// Readable once announce_change() was called for a file, by whatever process. Works for files that
// have no name (any more), too.
class change_watch {
 public:
  explicit change_watch(int file);  // throws std::system_error
  [[nodiscard]] int fd() const noexcept { return inotify_.get(); }
  void acknowledge() const noexcept;

 private:
  file_descriptor inotify_;
};

// Tells all change_watches of the file. May fail silently: who watches looks from time to time as
// well.
void announce_change(int file) noexcept;

}  // namespace outlive::detail
