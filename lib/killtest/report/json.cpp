#include <chrono>
#include <ratio>

#include <nlohmann/json.hpp>

#include "killtest/report/report_text.hpp"
#include "sys/hex.hpp"

namespace outlive::killtest::detail {

namespace {

using nlohmann::json;

json to_json(const frame& of) {
  return {{"function", of.function}, {"file", of.file}, {"line", of.line}};
}

json to_json(const report& in, const death& of) {
  json stack = json::array();
  if (of.stack < in.stacks.size()) {
    for (const frame& each : in.stacks[of.stack]) stack.push_back(to_json(each));
  }
  return {
      {"store", of.store}, {"before_next", of.before_next}, {"stack", stack}, {"alone", of.alone}};
}

json to_json(const report& in, const crash_state& of) {
  json deaths = json::array();
  for (const death& each : of.deaths) deaths.push_back(to_json(in, each));
  return {{"hash", outlive::detail::hex_16(of.hash)},
          {"verdict", to_string(of.result)},
          {"what", of.what},
          {"confirmed", of.confirmed},
          {"image", of.image},
          {"repaired", of.repaired},
          {"deaths", deaths}};
}

json to_json(const report& of) {
  json failures = json::array();
  for (const crash_state& each : of.states) {
    if (each.result != verdict::ok) failures.push_back(to_json(of, each));
  }
  return {
      {"scenario", of.scenario},
      {"ok", of.ok()},
      {"fault", of.fault},
      {"engine", to_string(of.used)},
      {"engine_reason", of.engine_reason},
      {"stores", of.stores},
      {"points", of.points},
      {"nested_points", of.nested_points},
      {"states", of.states.size()},
      {"failed", of.failed()},
      {"repairs", of.repairs},
      {"confirmed", of.confirmed},
      {"took_ms", std::chrono::duration<double, std::milli>(of.took).count()},
      {"cut", of.cut},
      {"warnings", of.warnings},
      {"made_no_difference", of.made_no_difference},
      {"unsaved", of.unsaved},
      {"failures", failures},
  };
}

}  // namespace

std::string to_json(std::span<const report> reports) {
  json all = json::array();
  for (const report& each : reports) all.push_back(to_json(each));
  // The text of a user's invariant may not be UTF-8.
  return all.dump(2, ' ', false, json::error_handler_t::replace) + '\n';
}

}  // namespace outlive::killtest::detail
