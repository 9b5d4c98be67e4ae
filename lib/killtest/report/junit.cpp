// JUnit's XML, as CI servers read it: <testsuites>, <testsuite>, <testcase>, and inside it <error>
// or <failure>.
#include <outlive/killtest/files.hpp>

#include <chrono>
#include <cstdio>

#include "killtest/report/report_text.hpp"

namespace outlive::killtest {

using namespace detail;

namespace {

std::string seconds(std::chrono::nanoseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", std::chrono::duration<double>(time).count());
  return text;
}

std::string attribute(const char* name, const std::string& value) {
  return std::string(" ") + name + "=\"" + escaped(value) + '"';
}

bool did_not_run(const report& of) {
  return !of.fault.empty() || of.states.empty();
}

// As pytest and others write it, and as CI servers link it.
std::string place_attributes(const report& of) {
  const crash_state* const first = of.first_failure();
  const frame* const at = first == nullptr ? nullptr : of.place_of(*first);
  if (at == nullptr) return {};
  return attribute("file", at->file) + attribute("line", std::to_string(at->line));
}

std::string outcome(const report& of) {
  if (did_not_run(of)) {
    const std::string why = of.fault.empty() ? "nothing was killed" : of.fault;
    return "    <error" + attribute("type", "not explored") + attribute("message", why) + ">" +
           escaped(of.summary()) + "</error>\n";
  }
  const crash_state* const first = of.first_failure();
  if (first == nullptr) return "    <system-out>" + escaped(of.summary()) + "</system-out>\n";
  const std::string kind(to_string(first->result));
  return "    <failure" + attribute("type", kind) +
         attribute("message", kind + ": " + first->what) + ">" + escaped(of.summary()) +
         "</failure>\n";
}

}  // namespace

void write_junit(std::span<const report> reports, const std::string& path) {
  std::size_t failures = 0;
  std::size_t errors = 0;
  std::chrono::nanoseconds took{0};
  std::string cases;
  for (const report& each : reports) {
    took += each.took;
    if (did_not_run(each)) {
      ++errors;
    } else if (!each.ok()) {
      ++failures;
    }
    cases += "   <testcase" + attribute("classname", "killtest") +
             attribute("name", each.scenario) + attribute("time", seconds(each.took)) +
             place_attributes(each) + ">\n" + outcome(each) + "   </testcase>\n";
  }
  const std::string counts = attribute("tests", std::to_string(reports.size())) +
                             attribute("failures", std::to_string(failures)) +
                             attribute("errors", std::to_string(errors)) +
                             attribute("time", seconds(took));
  write_file(path, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites" + counts +
                       ">\n  <testsuite name=\"killtest\" skipped=\"0\"" + counts + ">\n" + cases +
                       "  </testsuite>\n</testsuites>\n");
}

}  // namespace outlive::killtest
