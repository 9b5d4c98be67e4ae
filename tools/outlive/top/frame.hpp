// What `outlive top` shows: rates between two looks at a segment's threads.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <outlive/segment_view.hpp>

#include "source_lines.hpp"

namespace top {

// What a thread's counters were at a look.
struct counters {
  std::uint64_t acquisitions = 0, waits = 0;
};

class frame {
 public:
  explicit frame(const outlive::segment_view& view) : view_(view) {}

  void update(std::chrono::steady_clock::time_point now);
  [[nodiscard]] std::vector<std::string> lines(const terminal& on, bool by_process);

 private:
  struct line;
  [[nodiscard]] std::vector<line> rates(bool by_process) const;
  [[nodiscard]] std::string first_line(const terminal& on) const;
  [[nodiscard]] std::vector<std::string> activity(const terminal& on, bool by_process) const;
  [[nodiscard]] std::vector<std::string> holders(const terminal& on);

  using record_life = std::pair<std::uint32_t, std::uint64_t>;  // a record, at one of its lives
  const outlive::segment_view& view_;
  std::vector<outlive::viewed_thread> threads_;
  std::map<record_life, counters> before_;
  std::chrono::duration<double> passed_{};
  std::chrono::steady_clock::time_point at_{};
  outlive::hold_times holds_;
  source_lines sources_;
};

}  // namespace top
