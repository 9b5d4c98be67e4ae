// A source file of the HTML page: a row for each line from the first to the last that has code,
// without long gaps.
#include "killtest/report/html_parts.hpp"
#include "killtest/report/report_text.hpp"

namespace outlive::killtest::detail {

namespace {

constexpr unsigned max_gap = 6;         // lines without code that are shown between those with code
constexpr std::size_t max_groups = 12;  // of states of a line

std::string text_of(const source_file& file, unsigned number) {
  if (number == 0 || number > file.text.size()) return {};
  return escaped(file.text[number - 1]);
}

std::string number_and(unsigned number) {
  return "<span class=\"n\">" + std::to_string(number) + "</span>";
}

std::string html_group(const like_states& group, bool with_scenario) {
  const report& in = *group.first.in;
  const crash_state& state = *group.first.state;
  std::string text = "<p>" + counted(group.count, "crash state") + ": <strong>" +
                     escaped(to_string(state.result)) + "</strong>";
  if (!state.what.empty()) text += ": " + escaped(state.what);
  if (with_scenario) text += " <span class=\"quiet\">(" + escaped(in.scenario) + ")</span>";
  text += "</p>";
  if (state.result != verdict::ok) return text + html_deaths(in, state);
  crash_state last;
  last.deaths.push_back(state.deaths.back());
  const std::string death = html_deaths(in, last);
  return text + (state.deaths.size() == 1
                     ? death
                     : "<p class=\"quiet\">an heir was killed, in its repair</p>" + death);
}

std::string html_why(const source_line& line, bool with_scenario) {
  std::string text = "<div class=\"why\"><p class=\"quiet\">" + counted(line.points, "death") +
                     " here, or in what is called here; ";
  text += line.states.empty() ? "other deaths had left the same states before"
                              : counted(line.states.size(), "new crash state");
  text += "</p>";
  const std::vector<like_states> groups = grouped(line.states);
  for (std::size_t i = 0; i < groups.size() && i < max_groups; ++i)
    text += html_group(groups[i], with_scenario);
  if (groups.size() > max_groups)
    text += "<p>and " + counted(groups.size() - max_groups, "other kind") + " of states</p>";
  return text + "</div>";
}

std::string html_row(const source_file& file, unsigned number, const source_line* line,
                     bool with_scenario) {
  const std::string shown = "<span class=\"text\">" + text_of(file, number) + "</span>";
  if (line == nullptr)
    return "<div class=\"row source\">" + number_and(number) + "<span></span><span></span>" +
           shown + "</div>\n";
  const std::string attributes =
      " data-line=\"" + std::to_string(number) + "\" title=\"" + escaped(line->function) + "\"";
  if (line->points == 0) {
    return "<div class=\"row source never\"" + attributes + ">" + number_and(number) +
           "<span class=\"mark\">never</span>" + shown + "</div>\n";
  }
  const std::string kind = line->failed != 0 ? "fails" : line->states.empty() ? "seen" : "hit";
  const std::string failed = line->failed != 0 ? std::to_string(line->failed) : "";
  return "<details class=\"row source " + kind + "\"" + attributes + "><summary>" +
         number_and(number) + "<span class=\"states\">" + std::to_string(line->states.size()) +
         "</span><span class=\"bad\">" + failed + "</span>" + shown + "</summary>" +
         html_why(*line, with_scenario) + "</details>\n";
}

// With the lines without code in between, if they are few.
std::string html_rows(const source_file& file, bool with_scenario) {
  std::string text;
  unsigned last = 0;
  for (const auto& [number, line] : file.lines) {
    if (last != 0 && number - last > max_gap + 1) {
      text += "<div class=\"gap\">" + counted(number - last - 1, "line") +
              " without code of these functions</div>\n";
    } else if (last != 0 && !file.text.empty()) {
      for (unsigned between = last + 1; between < number; ++between)
        text += html_row(file, between, nullptr, with_scenario);
    }
    text += html_row(file, number, &line, with_scenario);
    last = number;
  }
  return text;
}

}  // namespace

std::string html_file(const std::string& path, const source_file& file, bool with_scenario) {
  std::size_t hit = 0;
  for (const auto& [number, line] : file.lines) hit += line.points != 0 ? 1 : 0;
  std::string text = std::string("<details class=\"file\"") + (file.is_outlives ? "" : " open") +
                     " data-file=\"" + escaped(last_part(path)) + "\"><summary><code>" +
                     escaped(path) + "</code> <span class=\"quiet\">" + std::to_string(hit) +
                     " of " + counted(file.lines.size(), "line") +
                     " were kill points</span></summary>\n";
  if (file.text.empty())
    text += "<p class=\"quiet why\">The source file is missing: its lines are shown by number.</p>";
  text +=
      "<div "
      "class=\"heads\"><span>line</span><span>states</span><span>failed</span><span>source</span></"
      "div>\n";
  return text + html_rows(file, with_scenario) + "</details>\n";
}

}  // namespace outlive::killtest::detail
