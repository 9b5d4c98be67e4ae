// What a run prints: a line while it runs, and the result.
#pragma once

#include <chrono>
#include <string>

#include "torture/settings.hpp"
#include "torture/statistics.hpp"

namespace torture {

// One line on stderr that is overwritten each time; nothing if stderr is no terminal.
class progress {
 public:
  explicit progress(const settings& wanted);
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress();
  void show(const statistics& stats, std::chrono::nanoseconds elapsed);

 private:
  const settings& wanted_;
  const bool to_terminal_;
};

[[nodiscard]] std::string as_text(const settings& wanted, const statistics& stats);
// One line.
[[nodiscard]] std::string as_json(const settings& wanted, const statistics& stats);

}  // namespace torture
