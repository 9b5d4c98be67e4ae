#include "dwarf/names.hpp"

#include <cxxabi.h>
#include <dwarf.h>

#include <cstdlib>
#include <filesystem>

namespace outlive::dwarf {

namespace {

constexpr std::string_view anonymous = "(anonymous namespace)";
constexpr std::string_view call_operator = "operator()";

std::string demangled(const char* name) {
  int status = 0;
  char* const text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string made = status == 0 && text != nullptr ? text : name;
  std::free(text);
  return made;
}

std::size_t end_of_parentheses(std::string_view text, std::size_t at) noexcept {
  int depth = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '(') ++depth;
    if (text[at] == ')' && --depth == 0) return at + 1;
  }
  return text.size();
}

// Drops all parameter lists, and what follows the last one ("const", "[clone .cold]").
std::string without_parameters(std::string_view text) {
  std::string made;
  // of `made`: the place of the function's own parameters
  std::size_t end = std::string::npos;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '(') {
      made += text[at++];
    } else if (text.substr(at).starts_with(anonymous)) {
      made += anonymous;
      at += anonymous.size();
    } else if (made.ends_with("operator") && text.substr(at).starts_with("()")) {
      made += "()";
      at += 2;
    } else {
      at = end_of_parentheses(text, at);
      end = made.size();
      if (at < text.size() && text[at] != ' ') end = std::string::npos;
    }
  }
  if (end != std::string::npos) made.resize(end);
  return made;
}

// A template's symbol begins with its result type.
std::string without_result(std::string text) {
  int depth = 0;
  for (std::size_t at = text.find("operator") == std::string::npos ? text.size()
                                                                   : text.find("operator");
       at-- > 0;) {
    if (text[at] == '>' || text[at] == ')' || text[at] == '}') ++depth;
    if (text[at] == '<' || text[at] == '(' || text[at] == '{') --depth;
    if (text[at] == ' ' && depth == 0) return text.substr(at + 1);
  }
  return text;
}

}  // namespace

std::string function_name(const char* symbol) {
  if (symbol == nullptr) return {};
  std::string made = without_result(without_parameters(demangled(symbol)));
  if (made.ends_with(std::string("}::") + std::string(call_operator)))
    made.resize(made.size() - call_operator.size() - 2);
  return made;
}

std::string file_path(const char* path, const char* folder) {
  const std::filesystem::path whole(path);
  return (whole.is_absolute() || folder == nullptr ? whole : folder / whole)
      .lexically_normal()
      .string();
}

const char* folder_of(Dwarf_Die* unit) {
  Dwarf_Attribute attribute;
  return dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
}

bool is_of_standard_library(std::string_view file) noexcept {
  return file.find("/include/c++/") != std::string_view::npos;
}

}  // namespace outlive::dwarf
