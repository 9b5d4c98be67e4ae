// memory_group: a memory cgroup with a small limit, below the group of the calling process. A
// process in it can die of the out-of-memory killer.
#pragma once

#include <memory>
#include <string>
#include <utility>

namespace outlive::killtest::detail {

class memory_group {
 public:
  // Returns: the group, or nullptr; then `why` says what failed.
  [[nodiscard]] static std::unique_ptr<memory_group> make(std::string& why);
  ~memory_group();
  memory_group(const memory_group&) = delete;
  memory_group& operator=(const memory_group&) = delete;

  // Moves the calling process into the group and fills memory until it is killed. If it is not
  // killed, it exits with `code`.
  [[noreturn]] void die_in_it(int code) const noexcept;

 private:
  explicit memory_group(std::string path)
      : path_(std::move(path)), members_(path_ + "/cgroup.procs") {}
  std::string path_;
  std::string members_;
};

}  // namespace outlive::killtest::detail
