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

const file_act_table& file_acts() {
  static const file_act_table all = [] {
    file_act_table made;
    add_file_acts(made);
    return made;
  }();
  return all;
}

const file_act_table& file_failures() {
  static const file_act_table all = [] {
    file_act_table made;
    add_file_failures(made);
    return made;
  }();
  return all;
}

template <class Table>
void add_names(std::vector<std::string>& to, const Table& of) {
  for (const auto& [name, does] : of) to.push_back(name);
}

// Returns: nullptr if there is none.
template <class Table>
const typename Table::mapped_type* find_in(const Table& first, const Table& second,
                                           const std::string& name) {
  for (const Table* each : {&first, &second}) {
    if (const auto found = each->find(name); found != each->end()) return &found->second;
  }
  return nullptr;
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

void run_one(const std::string& name, const std::function<void()>& does) {
  try {
    does();
  } catch (const std::system_error& error) {
    if (!is_documented(error.code())) throw wrong{name + " throws " + describe(error)};
  } catch (const std::exception& error) {
    throw wrong{name + " throws " + typeid(error).name() + ": " + error.what()};
  }
}

}  // namespace

const std::vector<std::string>& all_operations() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> made;
    add_names(made, acts());
    return made;
  }();
  return names;
}

const std::vector<std::string>& operations_by_name() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> made;
    add_names(made, file_acts());
    return made;
  }();
  return names;
}

const std::vector<std::string>& all_failures() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> made;
    add_names(made, failures());
    add_names(made, file_failures());
    return made;
  }();
  return names;
}

bool needs_name(const std::string& operation) {
  return find_in(file_acts(), file_failures(), operation) != nullptr;
}

void run_operations(const segment_file& file, const expectations& expected,
                    const std::vector<std::string>& names, void (*begins)(std::size_t)) {
  std::unique_ptr<visitor> on;
  run_one("open", [&] { on = std::make_unique<visitor>(file, expected); });
  for (std::size_t i = 0; i < names.size(); ++i) {
    begins(i + 1);
    const std::string& name = names[i];
    if (const file_act* const does = find_in(file_acts(), file_failures(), name)) {
      run_one(name, [&] { (*does)(file); });
      continue;
    }
    const act* const does = find_in(acts(), failures(), name);
    if (does == nullptr)
      throw wrong{"found no operation \"" + name + "\", expected one of --operations"};
    if (on == nullptr) continue;
    run_one(name, [&] { (*does)(*on); });
    if (!on->failure.empty()) throw wrong{name + ": " + on->failure};
  }
  begins(names.size() + 1);  // what ends with the visitor
  on.reset();
}

}  // namespace outlive::fuzz
