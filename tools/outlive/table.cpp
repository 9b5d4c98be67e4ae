#include "table.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace {

constexpr std::size_t gap = 2;              // between two columns
constexpr std::size_t least_of_column = 6;  // a column is cut to this before others are left out
constexpr std::size_t readable = 20;        // but those that may go are left out before this
constexpr std::size_t least_to_wrap = 20;   // narrower text is hard to read: other columns are cut

std::string joined(const std::vector<column>& known) {
  std::string all;
  for (const column& each : known) all += (all.empty() ? "" : ",") + each.key;
  return all;
}

// The lines of one cell.
std::vector<std::string> fitted(const std::string& text, const column& in, std::size_t width) {
  if (in.wraps && width != 0) return wrapped_to(text, width);
  return {in.keep_end ? cut_front_to(text, width) : cut_to(text, width)};
}

void append(std::string& line, const column& in, const std::string& shown, std::size_t width,
            tone colour, const terminal& on, bool is_last) {
  const std::string fill(width - std::min(width, width_of(shown)), ' ');
  if (in.side == align::right) line += fill;
  line += coloured(shown, colour, on);
  if (!is_last) line += (in.side == align::left ? fill : std::string()) + std::string(gap, ' ');
}

}  // namespace

cell::cell(std::string_view of)
    : cell(of.empty() ? "-" : std::string(of), of.empty() ? nlohmann::json() : nlohmann::json(of)) {
}

cell::cell(std::string shown, nlohmann::json meant, tone in)
    : text(printable(shown)), value(std::move(meant)), colour(in) {}

cell hex_cell(std::uint64_t value) {
  return {hex(value), value};
}

cell duration_cell(std::optional<std::chrono::nanoseconds> time) {
  if (!time) return cell::none();
  return {duration_text(*time), std::chrono::duration<double>(*time).count()};
}

void add_json_option(CLI::App& command, table_settings& into) {
  command.add_flag("--json", into.json, "Print JSON");
}

void add_table_options(CLI::App& command, table_settings& into, const std::vector<column>& known) {
  add_json_option(command, into);
  command.add_flag_callback(
      "--noheadings", [&into] { into.headings = false; }, "Print no headings");
  const auto parse = [&into, known](const std::string& text) {
    into.columns = CLI::detail::split(text, ',');
    for (const std::string& wanted : into.columns) {
      const bool is_there = std::any_of(known.begin(), known.end(),
                                        [&](const column& each) { return each.key == wanted; });
      if (!is_there)
        throw CLI::ValidationError("-o", fmt::format("unknown column '{}', expected some of {}",
                                                     printable(wanted), joined(known)));
    }
  };
  command.add_option_function<std::string>("-o,--output", parse, "Columns: " + joined(known))
      ->type_name("COLUMNS");
}

void mark_columns(std::vector<column>& in, bool column::*as,
                  std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    const auto at =
        std::find_if(in.begin(), in.end(), [&](const column& each) { return each.key == key; });
    (*at).*as = true;
  }
}

void table::add(std::vector<cell> row) {
  rows_.push_back(std::move(row));
}

std::vector<std::size_t> table::shown(const table_settings& wanted) const {
  std::vector<std::size_t> found;
  for (const std::string& key : wanted.columns) {
    const auto at = std::find_if(columns_.begin(), columns_.end(),
                                 [&](const column& each) { return each.key == key; });
    if (at != columns_.end()) found.push_back(static_cast<std::size_t>(at - columns_.begin()));
  }
  for (std::size_t i = 0; wanted.columns.empty() && i < columns_.size(); ++i) {
    if (columns_[i].by_default || wanted.json) found.push_back(i);
  }
  return found;
}

std::vector<std::size_t> table::widths(const std::vector<std::size_t>& shown, bool headings,
                                       const terminal& on, std::size_t least_to_cut) const {
  std::vector<std::size_t> found;
  std::size_t total = 0;
  for (const std::size_t each : shown) {
    std::size_t most = headings ? width_of(columns_[each].heading) : 0;
    for (const auto& row : rows_) most = std::max(most, width_of(row[each].text));
    found.push_back(most);
    total += most + gap;
  }
  // Narrow the widest text, one cell at a time, beginning with wrapped columns. A number that is
  // cut would be another number.
  for (const bool by_wrapping : {true, false}) {
    const std::size_t least = by_wrapping ? least_to_wrap : least_to_cut;
    while (on.is_one && total > on.width + gap) {
      std::size_t widest = found.size();
      for (std::size_t i = 0; i < found.size(); ++i) {
        const column& each = columns_[shown[i]];
        if (each.side == align::right || each.is_whole || found[i] <= least ||
            (by_wrapping && !each.wraps))
          continue;
        if (widest == found.size() || found[i] > found[widest]) widest = i;
      }
      if (widest == found.size()) break;
      --found[widest];
      --total;
    }
  }
  return found;
}

std::string table::as_text(const table_settings& wanted, const terminal& on) const {
  auto columns = shown(wanted);
  auto width = widths(columns, wanted.headings, on, readable);
  const auto does_not_fit = [&] {
    std::size_t cells = 0;
    for (const std::size_t each : width) cells += each + gap;
    return on.is_one && cells > on.width + gap;
  };
  // A column that the user asked for stays.
  for (std::size_t i = columns.size(); wanted.columns.empty() && i-- > 0 && does_not_fit();) {
    if (!columns_[columns[i]].may_go) continue;
    columns.erase(columns.begin() + static_cast<std::ptrdiff_t>(i));
    width = widths(columns, wanted.headings, on, readable);
  }
  if (does_not_fit()) width = widths(columns, wanted.headings, on, least_of_column);
  const auto used = [&](std::size_t until) {
    std::size_t cells = 0;
    for (std::size_t i = 0; i < until; ++i) cells += width[i] + gap;
    return cells;
  };
  // Columns that do not fit even then are left out, from the right.
  std::size_t count = columns.size();
  while (on.is_one && count > 1 && used(count) > on.width + gap) --count;
  std::string all;
  const auto add_line = [&](const auto& text_of, const auto& tone_of) {
    std::vector<std::vector<std::string>> cells;
    std::size_t lines = 1;
    for (std::size_t i = 0; i < count; ++i) {
      cells.push_back(fitted(text_of(columns[i]), columns_[columns[i]], width[i]));
      lines = std::max(lines, cells.back().size());
    }
    for (std::size_t part = 0; part < lines; ++part) {
      std::string line;
      for (std::size_t i = 0; i < count; ++i) {
        const std::string shown = part < cells[i].size() ? cells[i][part] : std::string();
        append(line, columns_[columns[i]], shown, width[i], tone_of(columns[i]), on,
               i + 1 == count);
      }
      all += line + '\n';
    }
  };
  if (wanted.headings) {
    add_line([&](std::size_t i) { return columns_[i].heading; },
             [](std::size_t) { return tone::dim; });
  }
  for (const auto& row : rows_) {
    add_line([&](std::size_t i) { return row[i].text; },
             [&](std::size_t i) { return row[i].colour; });
  }
  return all;
}

nlohmann::ordered_json table::as_json(const table_settings& wanted) const {
  table_settings all = wanted;
  all.json = true;
  auto list = nlohmann::ordered_json::array();
  for (const auto& row : rows_) {
    nlohmann::ordered_json& object = list.emplace_back(nlohmann::ordered_json::object());
    for (const std::size_t i : shown(all)) object[columns_[i].key] = row[i].value;
  }
  return list;
}

std::string table::rendered(const table_settings& wanted, const terminal& on) const {
  return wanted.json ? json_text(as_json(wanted)) : as_text(wanted, on);
}

std::string json_text(const nlohmann::ordered_json& value) {
  return value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}
