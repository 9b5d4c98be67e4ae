// plain_run: a victim or an heir as it runs without a log. A log must agree with it.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "killtest/survivor/workload.hpp"

namespace outlive::killtest::detail {

class plain_run {
 public:
  // Runs it to its end in a process of its own, from the state in the segment, which it leaves as
  // it is. `who`: for messages.
  // Throws: std::system_error.
  // Blocks: within the limit.
  plain_run(segment& seg, const workload& what, const std::string& who,
            std::chrono::milliseconds limit);
  ~plain_run();
  plain_run(const plain_run&) = delete;
  plain_run& operator=(const plain_run&) = delete;

  // Why it did not come to its end; empty if it did.
  [[nodiscard]] const std::string& fault() const noexcept { return fault_; }
  // The segment's bytes at its end.
  [[nodiscard]] const char* bytes() const noexcept { return bytes_; }

 private:
  std::size_t size_;
  char* bytes_;
  std::string fault_;
};

}  // namespace outlive::killtest::detail
