// Figures in the Prometheus text format: https://prometheus.io/docs/instrumenting/exposition_formats/
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace metrics {

using labels = std::vector<std::pair<std::string_view, std::string_view>>;

class text {
 public:
  // Labels that all figures have.
  explicit text(labels common) : common_(std::move(common)) {}

  // Begins a figure; its values follow. `kind` is gauge, counter or histogram; the name of a counter ends in _total.
  void begin(std::string_view name, std::string_view kind, std::string_view help);
  // A histogram's values have the ends _bucket, _sum and _count.
  void add(double value, const labels& own = {}, std::string_view end = {});

  [[nodiscard]] const std::string& all() const noexcept { return all_; }

 private:
  labels common_;
  std::string name_;
  std::string all_;
};

}  // namespace metrics
