// What `outlive top` shows: rates between two looks at a segment's threads, mutexes that are held
// or waited for, queues and permits.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <outlive/segment_view.hpp>

#include "companions.hpp"
#include "source_lines.hpp"
#include "top/wishes.hpp"

namespace top {

// What a thread's counters were at a look.
struct counters {
  std::uint64_t acquisitions = 0, waits = 0;
};

class frame {
 public:
  explicit frame(const outlive::segment_view& view) : view_(view) {}

  void update(std::chrono::steady_clock::time_point now);
  // Returns: the lines of the screen, no more than it has. Puts wanted.first into range.
  [[nodiscard]] std::vector<std::string> lines(const terminal& on, wishes& wanted);

 private:
  struct line;
  struct contended;
  struct part;
  using record_life = std::pair<std::uint32_t, std::uint64_t>;  // a record, at one of its lives

  void update_companions(std::chrono::steady_clock::time_point now);
  [[nodiscard]] std::vector<line> rates(const wishes& wanted) const;
  [[nodiscard]] std::vector<contended> mutexes(const wishes& wanted);
  [[nodiscard]] std::string first_line(const terminal& on) const;
  [[nodiscard]] std::string totals(const terminal& on) const;
  [[nodiscard]] std::string last_line(const terminal& on, const wishes& wanted,
                                      const std::vector<part>& parts) const;
  [[nodiscard]] part activity(const terminal& on, const wishes& wanted) const;
  [[nodiscard]] part holders(const terminal& on, const wishes& wanted);
  [[nodiscard]] std::vector<part> parts(const terminal& on, const wishes& wanted);

  const outlive::segment_view& view_;
  std::vector<outlive::viewed_thread> threads_;
  std::map<std::uint64_t, std::size_t> waiters_;  // by mutex
  std::map<record_life, counters> before_;
  std::optional<double> deaths_;  // a second
  std::uint64_t death_count_ = 0;
  std::chrono::duration<double> passed_{};  // 0: no rates yet
  std::optional<std::chrono::steady_clock::time_point> at_;
  outlive::hold_times holds_;
  companions::look companions_;
  std::chrono::steady_clock::time_point next_companions_{};
  source_lines sources_;
};

}  // namespace top
