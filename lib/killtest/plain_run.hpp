// plain_run: the victim as it runs when nobody logs it: what a log has to agree with.
#pragma once

#include <string>

#include <outlive/killtest/explore.hpp>
#include <outlive/killtest/scenario.hpp>

namespace outlive::killtest::detail {

class plain_run {
 public:
  // Runs it to its end, in a process of its own, which leaves the segment as it is. Requires: the segment is in the state without any death.
  // Blocks: within explore_options::time_limit. Throws std::system_error.
  plain_run(const scenario& what, const explore_options& how, segment& seg);
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
