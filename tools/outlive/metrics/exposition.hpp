// Figures in the Prometheus text format:
// https://prometheus.io/docs/instrumenting/exposition_formats/
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace metrics {

using labels = std::vector<std::pair<std::string_view, std::string>>;

class exposition {
 public:
  // Begins a figure; its values follow. `kind` is gauge or counter; the name of a counter ends in
  // _total, and it never goes down.
  void begin(std::string_view name, std::string_view kind, std::string_view help);
  void add(double value, const labels& of);

  [[nodiscard]] const std::string& all() const noexcept { return all_; }

 private:
  std::string name_;
  std::string all_;
};

}  // namespace metrics
