// The HTML page: one file that loads nothing and runs nothing. Parts that open by a click are
// <details>.
#include <outlive/killtest/files.hpp>

#include <algorithm>
#include <utility>

#include "killtest/report/html_parts.hpp"
#include "killtest/report/html_style.hpp"
#include "killtest/report/report_text.hpp"

namespace outlive::killtest {

using namespace detail;

namespace {

const char head[] = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
)";

const char legend[] =
    R"(<p class="legend"><span class="l-hit">kill point, all states repaired</span>
<span class="l-fails">kill point, a state failed</span><span class="l-seen">kill point, its states were known from elsewhere</span><span class="l-never">never a kill point</span></p>
<p class="quiet">A line's states are those that a death at the line, or in what it called, left. If several deaths came in a row, the last one counts.
A click on a line shows the stacks, and what the invariant said. Lines that do not store to the segment are never a kill point.</p>
)";

std::string html_lines(std::span<const report> reports) {
  const auto files = source_files_of(reports);
  if (files.empty())
    return "<p>No source line is known, because the program has no debugging information: compile "
           "it "
           "with -g.</p>\n";
  // The program's own files first, those with failures at the head.
  std::vector<const std::pair<const std::string, source_file>*> order;
  order.reserve(files.size());
  for (const auto& each : files) order.push_back(&each);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.is_outlives, b->second.failed()) <
           std::pair(b->second.is_outlives, a->second.failed());
  });
  std::string text = legend;
  for (const auto* each : order) text += html_file(each->first, each->second, reports.size() > 1);
  return text;
}

}  // namespace

void write_html(std::span<const report> reports, const std::string& path) {
  const auto survived = static_cast<std::size_t>(
      std::count_if(reports.begin(), reports.end(), [](const report& each) { return each.ok(); }));
  const std::string title = std::to_string(survived) + " of " +
                            counted(reports.size(), "scenario") + " survived all kills";
  std::string text = head;
  text += "<title>" + title + "</title>\n<style>" + html_style +
          "</style>\n</head>\n<body>\n<header><h1>" + title + "</h1></header>\n<main>\n";
  for (const bool passing : {false, true}) {  // what has to be read comes first
    for (const report& each : reports) {
      if (each.ok() == passing) text += html_scenario(each);
    }
  }
  text += "<h2>By source line</h2>\n" + html_lines(reports) + "</main>\n</body>\n</html>\n";
  write_file(path, text);
}

}  // namespace outlive::killtest
