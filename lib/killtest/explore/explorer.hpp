// explorer: the search itself. explore() makes one, and lets it run.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <outlive/killtest/explore.hpp>

#include "killtest/heir/heir.hpp"
#include "killtest/state/truth.hpp"
#include "killtest/stores/store_log.hpp"
#include "killtest/trace/plain_run.hpp"
#include "killtest/trace/recorder.hpp"

namespace outlive::killtest::detail {

using death_chain = std::vector<log_position>;

class explorer {
 public:
  explorer(const scenario& what, const explore_options& how, segment& seg);
  [[nodiscard]] report run();

 private:
  [[nodiscard]] std::shared_ptr<const recording> record_victim();
  [[nodiscard]] std::shared_ptr<const recording> record_victim_by(engine which);
  [[nodiscard]] std::string difference_to(const plain_run& plain, death_chain deaths,
                                          const std::shared_ptr<const recording>& log);
  void record_heir_after(const death_chain& after);
  [[nodiscard]] std::shared_ptr<const recording> record_heir(const death_chain& after,
                                                             std::string& fault);
  void check_end(const std::shared_ptr<const recording>& victim);

  // All deaths in the log's tested part, after those of `before`.
  void explore_log(const death_chain& before, const std::shared_ptr<const recording>& log);
  void look_at(const death_chain& deaths);
  void explore_heirs();
  void add_state(const death_chain& deaths, std::uint64_t hash, const judgement& found);
  [[nodiscard]] bool is_over();

  void confirm_some();
  void confirm(crash_state& state, const death_chain& deaths);
  void write_images();
  void describe_stacks();
  [[nodiscard]] std::size_t stack_index(const log_position& at);
  void count_point(const log_position& at);
  void cut(const std::string& what);
  void show_progress();
  void end_progress();

  const scenario& what_;
  const explore_options& how_;
  segment& seg_;
  heirs heirs_;
  std::unique_ptr<truth> world_;
  recorder recorder_;
  report report_;
  std::vector<death_chain> chains_;  // of report_.states
  std::unordered_set<std::uint64_t> seen_;
  std::deque<std::size_t> to_nest_;  // indexes of states
  std::vector<stack_trace> stacks_;  // of the report, as addresses
  std::unordered_map<std::uint64_t, std::size_t> stack_of_;
  std::size_t hung_ = 0;
  unsigned compared_heirs_ = 0;  // with runs without a log
  bool over_ = false;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_ = began_;
  bool line_shown_ = false;
};

}  // namespace outlive::killtest::detail
