// What a process has open and mapped, to compare before and after.
//
//   const auto before = holdings::of(getpid());
//   ...
//   EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace outlive::testing {

/// The state letter of /proc/PID/stat ('R', 'S', 'Z' ...), 0 if there is no such task. PID may be
/// any thread's.
char task_state(pid_t pid);
/// Gone, or a zombie that nobody has reaped yet.
bool is_dead(pid_t pid);

class holdings {
 public:
  /// Throws if /proc/PID cannot be read.
  static holdings of(pid_t pid);

  std::size_t open_files() const { return files_.size(); }
  /// Mappings, including anonymous ones and those of heap and stack.
  std::size_t mappings() const { return mappings_; }
  /// Mappings whose path contains this, e.g. "/dev/shm/outlive.bank" or "/memfd:".
  std::size_t mappings_of(std::string_view part_of_path) const;

  /// Descriptors and named mappings that `before` does not have, one a line; empty if there are
  /// none. Anonymous mappings are omitted: allocators and thread stacks come and go.
  std::string added_since(const holdings& before) const;

 private:
  std::map<int, std::string> files_;           // descriptor -> its target
  std::map<std::string, std::size_t> mapped_;  // path -> number of mappings
  std::size_t mappings_ = 0;
};

}  // namespace outlive::testing
