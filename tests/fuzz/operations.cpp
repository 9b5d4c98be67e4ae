#include "fuzz/operations.hpp"

#include <memory>
#include <system_error>
#include <typeinfo>

#include "fuzz/acts.hpp"

namespace outlive::fuzz {

namespace {

const act_table& acts() {
  static const act_table all = [] {
    act_table made;
    add_lock_acts(made);
    add_companion_acts(made);
    add_object_acts(made);
    add_looks(made);
    return made;
  }();
  return all;
}

const act_table& failures() {
  static const act_table all = [] {
    act_table made;
    add_failures(made);
    return made;
  }();
  return all;
}

// Codes that the headers name beside those of outlive::errc.
bool is_documented(const std::error_code& code) {
  return code.category() == error_category() || code == std::errc::invalid_argument ||
         code == std::errc::value_too_large;
}

std::string describe(const std::system_error& error) {
  return std::string("a std::system_error of category ") + error.code().category().name() + ": " +
         error.what();
}

void run_one(visitor& on, const std::string& name, const act& does) {
  try {
    does(on);
  } catch (const std::system_error& error) {
    if (!is_documented(error.code())) throw wrong{name + " throws " + describe(error)};
  } catch (const std::exception& error) {
    throw wrong{name + " throws " + typeid(error).name() + ": " + error.what()};
  }
  if (!on.failure.empty()) throw wrong{name + ": " + on.failure};
}

}  // namespace

const std::vector<std::string>& all_operations() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> made;
    for (const auto& [name, does] : acts()) made.push_back(name);
    return made;
  }();
  return names;
}

const std::vector<std::string>& all_failures() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> made;
    for (const auto& [name, does] : failures()) made.push_back(name);
    return made;
  }();
  return names;
}

void run_operations(int fd, const expectations& expected, const std::vector<std::string>& names,
                    void (*begins)(std::size_t)) {
  std::unique_ptr<visitor> on;
  try {
    on = std::make_unique<visitor>(fd, expected);
  } catch (const std::system_error& error) {
    if (!is_documented(error.code())) throw wrong{"open throws " + describe(error)};
    return;
  } catch (const std::exception& error) {
    throw wrong{std::string("open throws ") + typeid(error).name() + ": " + error.what()};
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    begins(i + 1);
    const bool of_failures = failures().contains(names[i]);
    const auto found = of_failures ? failures().find(names[i]) : acts().find(names[i]);
    if (found == acts().end())
      throw wrong{"found no operation \"" + names[i] + "\", expected one of --operations"};
    run_one(*on, names[i], found->second);
  }
  begins(names.size() + 1);  // what ends with the visitor
  on.reset();
}

}  // namespace outlive::fuzz
