// SARIF 2.1.0 (OASIS): the format in which code hosts take the findings of tools. The log has what
// a finding needs there: a rule for each verdict, a message, a file and a line.
#include <outlive/killtest/files.hpp>

#include <nlohmann/json.hpp>

#include <map>
#include <utility>

#include <outlive/version.hpp>

#include "killtest/report/report_text.hpp"

namespace outlive::killtest {

using namespace detail;

namespace {

using nlohmann::json;

constexpr char not_explored[] = "not explored";

json location_of(const frame& at) {
  return {{"physicalLocation",
           {{"artifactLocation", {{"uri", "file://" + at.file}}},
            {"region", {{"startLine", at.line}}}}}};
}

json result_of(const report& in, const std::string& rule, const std::string& what,
               const frame* at) {
  json made = {
      {"ruleId", rule}, {"level", "error"}, {"message", {{"text", in.scenario + ": " + what}}}};
  if (at != nullptr) made["locations"] = json::array({location_of(*at)});
  return made;
}

void add_results(json& results, const report& of) {
  if (!of.fault.empty() || of.states.empty()) {
    const std::string why = of.fault.empty() ? "nothing was killed" : of.fault;
    results.push_back(result_of(of, not_explored, why, nullptr));
  }
  for (const failure_kind& each : kinds_of_failures(of)) {
    const std::string rule(to_string(each.first->result));
    results.push_back(result_of(
        of, rule, rule + ": " + each.first->what + " (" + counted(each.count, "crash state") + ")",
        of.place_of(*each.first)));
  }
}

}  // namespace

void write_sarif(std::span<const report> reports, const std::string& path) {
  json results = json::array();
  for (const report& each : reports) add_results(results, each);
  std::map<std::string, json> rules;
  for (const json& each : results) {
    const std::string id = each["ruleId"];
    rules.try_emplace(id, json{{"id", id}});
  }
  json of_rules = json::array();
  for (auto& each : rules) of_rules.push_back(std::move(each.second));
  const json log = {
      {"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
      {"version", "2.1.0"},
      {"runs",
       json::array(
           {{{"tool",
              {{"driver",
                {{"name", "outlive killtest"}, {"version", version()}, {"rules", of_rules}}}}},
             {"results", results}}})}};
  write_file(path, log.dump(2, ' ', false, json::error_handler_t::replace) + '\n');
}

}  // namespace outlive::killtest
