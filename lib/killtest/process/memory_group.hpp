// memory_group: a memory cgroup with a small limit, made below that of the calling process, in
// which a process can die of too much memory.
#pragma once

#include <memory>
#include <string>
#include <utility>

namespace outlive::killtest::detail {

class memory_group {
 public:
  // Returns: nothing where none can be made here; then `why` says what failed.
  [[nodiscard]] static std::unique_ptr<memory_group> make(std::string& why);
  ~memory_group();
  memory_group(const memory_group&) = delete;
  memory_group& operator=(const memory_group&) = delete;

  // Moves the calling process into the group, and takes memory until it is killed. Ends it with
  // `code` if nobody kills it.
  [[noreturn]] void die_in_it(int code) const noexcept;

 private:
  explicit memory_group(std::string path)
      : path_(std::move(path)), members_(path_ + "/cgroup.procs") {}
  std::string path_;
  std::string members_;
};

}  // namespace outlive::killtest::detail
