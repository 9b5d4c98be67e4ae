// The figures of segments, from two looks at each.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <outlive/segment_view.hpp>

#include "show/tables.hpp"

namespace metrics {

// What was read from one segment.
struct sample {
  std::string segment;
  std::optional<outlive::segment_view> view;  // empty: it cannot be read
  show::snapshot snap;
  std::vector<outlive::logged_death> deaths;
};
using samples = std::vector<std::unique_ptr<sample>>;  // a snapshot cannot be moved

// Returns: the figures in the text format of Prometheus.
[[nodiscard]] std::string figures_of(const samples& of);

}  // namespace metrics
