// A table, as text or as JSON: columns with headings, or a list of objects.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "output.hpp"

namespace CLI {
class App;
}

enum class align { left, right };

struct column {
  std::string key;  // for -o, and in JSON: snake_case, and never changed
  std::string heading;
  // numbers: right
  align side = align::left;
  // false: only with -o, and in JSON
  bool by_default = true;
  // if it must be cut, the beginning is left out
  bool keep_end = false;
  // it is wrapped, not cut: text that is of no use without its end
  bool wraps = false;
  // on a narrow terminal it is left out before others are cut so short that they say nothing
  bool may_go = false;
  // it is not cut: half a time is none
  bool is_whole = false;
};
// For each column of these keys. Requires: all are there.
void mark_columns(std::vector<column>& in, bool column::*as,
                  std::initializer_list<std::string_view> keys);

// One value, as text and for JSON.
struct cell {
  std::string text;
  nlohmann::json value;
  tone colour = tone::plain;

  cell(std::string_view of);  // the same in both, but "" is null in JSON, and "-" as text
  cell(const std::string& of) : cell(std::string_view(of)) {}
  cell(const char* of) : cell(std::string_view(of)) {}
  cell(std::string shown, nlohmann::json meant, tone in = tone::plain);
  template <class Number>
  requires std::is_arithmetic_v<Number> cell(Number of) : cell(nlohmann::json(of).dump(), of) {}

  [[nodiscard]] static cell none() { return {"-", nullptr}; }
  [[nodiscard]] cell in(tone which) && {
    colour = which;
    return std::move(*this);
  }
};

// "0x40", in JSON a number.
[[nodiscard]] cell hex_cell(std::uint64_t value);
// As duration_text(), in JSON a number of seconds.
[[nodiscard]] cell duration_cell(std::optional<std::chrono::nanoseconds> time);

// What the options of a command ask for.
struct table_settings {
  bool json = false;
  bool headings = true;
  std::vector<std::string> columns;  // empty: those by default
};
// Adds --json, -o and --noheadings. A column that `known` does not have is an error of usage.
void add_table_options(CLI::App& command, table_settings& into, const std::vector<column>& known);
// Adds --json alone.
void add_json_option(CLI::App& command, table_settings& into);

class table {
 public:
  explicit table(std::vector<column> columns) : columns_(std::move(columns)) {}

  // Requires: a cell for each column.
  void add(std::vector<cell> row);
  [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }

  // Returns: lines, each with its end. On a terminal they are no longer than it is wide.
  [[nodiscard]] std::string as_text(const table_settings& wanted, const terminal& on) const;
  // Returns: a list of objects; of the columns all, or those asked for.
  [[nodiscard]] nlohmann::ordered_json as_json(const table_settings& wanted) const;
  // Returns: one of them, as the settings say.
  [[nodiscard]] std::string rendered(const table_settings& wanted, const terminal& on) const;

 private:
  [[nodiscard]] std::vector<std::size_t> shown(const table_settings& wanted) const;
  [[nodiscard]] std::vector<std::size_t> widths(const std::vector<std::size_t>& shown,
                                                bool headings, const terminal& on,
                                                std::size_t least) const;
  std::vector<column> columns_;
  std::vector<std::vector<cell>> rows_;
};

// With its line end; bytes that are no UTF-8 are replaced.
[[nodiscard]] std::string json_text(const nlohmann::ordered_json& value);
