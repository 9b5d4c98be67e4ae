// Names of damaged segments, for the tool and for segment::open(): one for each process that runs
// cases, taken away whatever becomes of it.
#pragma once

#include <sys/types.h>

#include <string>

namespace outlive::fuzz {

// While it lives, and as long as a process that was forked meanwhile does, a process stands by that
// then takes the names away: a SIGKILL of all others leaves none behind.
class segment_names {
 public:
  segment_names();
  segment_names(const segment_names&) = delete;
  segment_names& operator=(const segment_names&) = delete;
  ~segment_names();

  // Of the calling process.
  [[nodiscard]] std::string own() const;

 private:
  std::string prefix_;
  int alive_ = -1;  // nothing is written: its end is what tells
  pid_t guard_ = -1;
};

// Gives the unnamed file in /dev/shm its name; another file of that name loses it. Throws
// std::system_error.
void give_name(int file, const std::string& name);
void take_name_away(const std::string& name) noexcept;

}  // namespace outlive::fuzz
