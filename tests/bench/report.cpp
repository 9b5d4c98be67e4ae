#include "bench/report.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>
#include <utility>

#include <nlohmann/json.hpp>

#include <outlive/robust_mutex.hpp>

namespace outlive::testing {

namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text,
                value < 10    ? "%.3f"
                : value < 100 ? "%.2f"
                : value < 1e6 ? "%.0f"
                              : "%.3g",
                value);
  return text;
}

std::string in_time_units(double ns) {
  char text[32];
  if (ns < 10'000) {
    std::snprintf(text, sizeof text, ns < 1000 ? "%.1f ns" : "%.0f ns", ns);
  } else if (ns < 10'000'000) {
    std::snprintf(text, sizeof text, "%.1f us", ns / 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.1f ms", ns / 1e6);
  }
  return text;
}

nlohmann::json as_json(const quartiles& values) {
  return {{"min", values.min},
          {"lower", values.lower},
          {"median", values.median},
          {"upper", values.upper},
          {"max", values.max}};
}

}  // namespace

quartiles quartiles_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    const double place = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const auto above = std::min(below + 1, values.size() - 1);
    return values[below] + (values[above] - values[below]) * (place - static_cast<double>(below));
  };
  return {values.front(), at(0.25), at(0.5), at(0.75), values.back()};
}

std::vector<summary> summaries_of(const std::vector<measured_case>& cases) {
  std::vector<summary> result;
  for (const auto& one : cases) {
    if (one.samples.empty()) continue;
    std::vector<double> ns, reference, ratio;
    for (const auto& pair : one.samples) {
      ns.push_back(pair.subject_ns);
      reference.push_back(pair.reference_ns);
      ratio.push_back(pair.subject_ns / pair.reference_ns);
    }
    result.push_back({one.name, one.reference, one.samples.size(), quartiles_of(ns),
                      quartiles_of(reference).median, quartiles_of(ratio)});
  }
  return result;
}

void print_table(std::ostream& out, const std::vector<summary>& summaries) {
  std::size_t width = 4;
  for (const auto& one : summaries) width = std::max(width, one.name.size());
  const auto column = [&](const std::string& text, int wide) {
    out << std::right << std::setw(wide) << text;
  };
  out << std::left << std::setw(static_cast<int>(width)) << "case";
  column("median", 12);
  column("lower q.", 12);
  column("upper q.", 12);
  column("reference", 12);
  column("ratio", 9);
  column("lower q.", 9);
  column("upper q.", 9);
  column("n", 5);
  out << "  reference\n";
  for (const auto& one : summaries) {
    out << std::left << std::setw(static_cast<int>(width)) << one.name;
    for (const double ns : {one.ns.median, one.ns.lower, one.ns.upper, one.reference_ns})
      column(in_time_units(ns), 12);
    for (const double ratio : {one.ratio.median, one.ratio.lower, one.ratio.upper}) {
      char text[32];
      std::snprintf(text, sizeof text, ratio < 100 ? "%.3f" : "%.0f", ratio);
      column(text, 9);
    }
    column(std::to_string(one.samples), 5);
    out << "  " << one.reference << '\n';
  }
}

void print_targets(std::ostream& out, const std::vector<target>& targets) {
  std::size_t width = 6;
  for (const auto& one : targets) width = std::max(width, one.what.size());
  out << std::left << std::setw(static_cast<int>(width)) << "target" << std::right << std::setw(10)
      << "at most" << std::setw(12) << "measured"
      << "  met\n";
  for (const auto& one : targets) {
    out << std::left << std::setw(static_cast<int>(width)) << one.what << std::right
        << std::setw(10) << number(one.limit) << std::setw(12)
        << (one.measured ? number(*one.measured) : "-") << "  ";
    out << (!one.measured ? "not measured" : one.met() ? "yes" : "NO");
    if (one.aim && one.measured && one.met())
      out << (*one.measured <= *one.aim ? ", and the aim of " : ", not the aim of ")
          << number(*one.aim);
    out << '\n';
  }
}

nlohmann::json as_json(const std::vector<summary>& summaries, const std::vector<target>& targets) {
  nlohmann::json cases = nlohmann::json::array();
  for (const auto& one : summaries) {
    cases.push_back({{"name", one.name},
                     {"reference", one.reference},
                     {"samples", one.samples},
                     {"ns", as_json(one.ns)},
                     {"reference_ns", one.reference_ns},
                     {"ratio", as_json(one.ratio)}});
  }
  nlohmann::json wanted = nlohmann::json::array();
  for (const auto& one : targets) {
    nlohmann::json line{{"what", one.what}, {"limit", one.limit}, {"met", one.met()}};
    line["aim"] = one.aim ? nlohmann::json(*one.aim) : nlohmann::json();
    line["measured"] = one.measured ? nlohmann::json(*one.measured) : nlohmann::json();
    wanted.push_back(std::move(line));
  }
  return {{"cases", std::move(cases)}, {"targets", std::move(wanted)}};
}

}  // namespace outlive::testing
