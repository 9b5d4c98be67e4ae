#include "killtest/sequences/sequence.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "killtest/report/report_text.hpp"
#include "sys/hex.hpp"

namespace outlive::killtest::detail {

namespace {

using nlohmann::json;

std::int64_t draw(const argument_range& from, std::mt19937_64& random) {
  return std::uniform_int_distribution<std::int64_t>(from.lowest, from.highest)(random);
}

json to_json(const erased_model_test& of, const sequence& all) {
  json steps = json::array();
  for (const sequence_step& each : all) {
    json step = {{"operation", of.operations[each.operation].name},
                 {"arguments", each.arguments},
                 {"heirs", each.heirs}};
    if (each.death) step["death"] = *each.death;
    steps.push_back(std::move(step));
  }
  return {{"test", of.of.name}, {"steps", std::move(steps)}};
}

// Throws: nlohmann's exceptions; std::runtime_error for what does not belong to the test any more.
sequence from_json(const erased_model_test& of, const json& from) {
  sequence made;
  for (const json& each : from.at("steps")) {
    sequence_step step;
    const std::string name = each.at("operation");
    const auto found =
        std::find_if(of.operations.begin(), of.operations.end(),
                     [&](const erased_operation& operation) { return operation.name == name; });
    if (found == of.operations.end())
      throw std::runtime_error("found the operation \"" + name + "\", expected one of the test");
    step.operation = static_cast<std::size_t>(found - of.operations.begin());
    step.arguments = each.at("arguments").get<operation_arguments>();
    if (step.arguments.size() != found->arguments.size())
      throw std::runtime_error("found " + counted(step.arguments.size(), "argument") + " of \"" +
                               name + "\", expected " + std::to_string(found->arguments.size()));
    step.heirs = each.at("heirs").get<std::uint32_t>();
    if (each.contains("death")) step.death = each.at("death").get<std::uint32_t>();
    made.push_back(std::move(step));
  }
  return made;
}

}  // namespace

sequence random_sequence(const erased_model_test& of, const sequence_options& how,
                         std::mt19937_64& random) {
  sequence made;
  const std::size_t length = 1 + random() % std::max<std::size_t>(how.length, 1);
  for (std::size_t i = 0; i < length; ++i) {
    sequence_step step;
    step.operation = random() % of.operations.size();
    for (const argument_range& each : of.operations[step.operation].arguments)
      step.arguments.push_back(draw(each, random));
    if (std::generate_canonical<double, 32>(random) < how.deaths)
      step.death = static_cast<std::uint32_t>(random());
    step.heirs = static_cast<std::uint32_t>(random());
    made.push_back(std::move(step));
  }
  return made;
}

std::vector<sequence> simpler_than(const erased_model_test& of, const sequence& all) {
  std::vector<sequence> made;
  const auto add = [&](std::size_t at, const auto& change) {
    sequence other = all;
    change(other[at]);
    if (other != all) made.push_back(std::move(other));
  };
  for (std::size_t i = 0; i < all.size() && all.size() > 1; ++i) {
    sequence shorter = all;
    shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(i));
    made.push_back(std::move(shorter));
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    add(i, [](sequence_step& step) { step.death.reset(); });
    add(i, [](sequence_step& step) { step.heirs = 0; });
    const auto& ranges = of.operations[all[i].operation].arguments;
    for (std::size_t which = 0; which < ranges.size(); ++which) {
      const std::int64_t lowest = ranges[which].lowest;
      add(i, [&](sequence_step& step) { step.arguments[which] = lowest; });
      add(i, [&](sequence_step& step) {
        step.arguments[which] = lowest + (step.arguments[which] - lowest) / 2;
      });
    }
  }
  return made;
}

std::string text_of(const erased_model_test& of, const sequence_step& step) {
  std::string text = of.operations[step.operation].name + "(";
  for (std::size_t i = 0; i < step.arguments.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(step.arguments[i]);
  text += ")";
  if (step.death) text += ", killed after store " + std::to_string(*step.death);
  return text;
}

std::string write_to(const std::string& folder, const erased_model_test& of, const sequence& all) {
  const std::string text = to_json(of, all).dump(2) + '\n';
  std::filesystem::create_directories(folder);
  const std::string file =
      folder + "/sequence-" + outlive::detail::hex_16(std::hash<std::string>{}(text)) + ".json";
  write_file(file, text);
  return file;
}

std::vector<kept_sequence> read_from(const std::string& folder, const erased_model_test& of) {
  std::vector<kept_sequence> made;
  if (folder.empty() || !std::filesystem::exists(folder)) return made;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    const std::string file = entry.path().string();
    errno = 0;
    std::ifstream in(file);
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (!in.good() && !in.eof())
      throw std::system_error(errno != 0 ? errno : EIO, std::generic_category(), file);
    try {
      const json from = json::parse(text);
      if (from.at("test") == of.of.name) made.push_back({file, from_json(of, from)});
    } catch (const std::exception& error) {
      throw std::runtime_error(file + ": found no sequence of this test (" + error.what() +
                               "); remove the file if its operation is gone");
    }
  }
  std::sort(made.begin(), made.end(),
            [](const kept_sequence& a, const kept_sequence& b) { return a.file < b.file; });
  return made;
}

}  // namespace outlive::killtest::detail
