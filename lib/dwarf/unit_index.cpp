#include "dwarf/unit_index.hpp"

#include <dwarf.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "dwarf/names.hpp"

namespace outlive::dwarf {

namespace {

Dwarf_Die definition_of(Dwarf_Die function) {
  Dwarf_Attribute attribute;
  for (const unsigned link : {DW_AT_abstract_origin, DW_AT_specification}) {
    Dwarf_Die next;
    if (dwarf_attr(&function, link, &attribute) != nullptr &&
        dwarf_formref_die(&attribute, &next) != nullptr)
      function = next;
  }
  return function;
}

bool is_code(Dwarf_Die* die) {
  const int tag = dwarf_tag(die);
  return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
}

// Innermost last.
void append_inlined(Dwarf_Die in, Dwarf_Addr address, std::vector<Dwarf_Die>& found) {
  Dwarf_Die child;
  if (dwarf_child(&in, &child) != 0) return;
  do {
    const int tag = dwarf_tag(&child);
    if ((tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block) ||
        dwarf_haspc(&child, address) <= 0)
      continue;
    if (tag == DW_TAG_inlined_subroutine) found.push_back(child);
    return append_inlined(child, address, found);
  } while (dwarf_siblingof(&child, &child) == 0);
}

std::string scope_name(Dwarf_Die* scope) {
  const int tag = dwarf_tag(scope);
  const char* const name = dwarf_diename(scope);
  if (tag == DW_TAG_namespace) return name == nullptr ? "(anonymous namespace)" : name;
  if (tag != DW_TAG_class_type && tag != DW_TAG_structure_type) return {};
  return name == nullptr ? "{lambda}" : name;
}

}  // namespace

unit_index::unit_index(Dwarf_Die unit) : unit_(unit) {
  index_scope(&unit_, {});
  std::sort(ranges_.begin(), ranges_.end(),
            [](const range& a, const range& b) { return a.begin < b.begin; });
}

// Compilers put functions with code into the unit or a namespace, not into classes.
void unit_index::index_scope(Dwarf_Die* scope, const std::string& name) {
  Dwarf_Die child;
  if (dwarf_child(scope, &child) != 0) return;
  do {
    const int tag = dwarf_tag(&child);
    if (tag == DW_TAG_namespace) index_scope(&child, name + scope_name(&child) + "::");
    if (tag != DW_TAG_subprogram) continue;
    if (!name.empty()) scopes_[child.addr] = name;
    add_function(&child);
  } while (dwarf_siblingof(&child, &child) == 0);
}

void unit_index::add_function(Dwarf_Die* function) {
  Dwarf_Addr base = 0;
  range found{0, 0, functions_.size()};
  const std::size_t before = ranges_.size();
  for (std::ptrdiff_t at = 0;
       (at = dwarf_ranges(function, at, &base, &found.begin, &found.end)) > 0;)
    ranges_.push_back(found);
  if (ranges_.size() != before) functions_.push_back(*function);
}

std::vector<Dwarf_Die> unit_index::functions_at(Dwarf_Addr address) const {
  std::vector<Dwarf_Die> found;
  const auto behind =
      std::upper_bound(ranges_.begin(), ranges_.end(), address,
                       [](Dwarf_Addr at, const range& each) { return at < each.begin; });
  if (behind == ranges_.begin() || address >= std::prev(behind)->end) return found;
  found.push_back(functions_[std::prev(behind)->function]);
  append_inlined(found.front(), address, found);
  std::reverse(found.begin(), found.end());
  return found;
}

std::string unit_index::name_of(Dwarf_Die function) const {
  Dwarf_Attribute attribute;
  Dwarf_Attribute* symbol = dwarf_attr_integrate(&function, DW_AT_linkage_name, &attribute);
  if (symbol == nullptr)
    symbol = dwarf_attr_integrate(&function, DW_AT_MIPS_linkage_name, &attribute);
  if (symbol != nullptr) return function_name(dwarf_formstring(symbol));
  // A function without a public symbol: a static one, one of an anonymous namespace, a lambda.
  Dwarf_Die definition = definition_of(function);
  const char* const plain = dwarf_diename(&definition);
  if (plain == nullptr) return {};
  if (const auto known = scopes_.find(definition.addr); known != scopes_.end())
    return known->second + plain;
  Dwarf_Die* scopes = nullptr;
  const int count = dwarf_getscopes_die(&definition, &scopes);
  std::string made = plain;
  for (int i = 1; i < count; ++i) {
    if (is_code(&scopes[i])) {
      made = name_of(scopes[i]) + "::" + made;
      break;
    }
    const std::string outer = scope_name(&scopes[i]);
    if (outer.empty()) continue;
    made = outer == "{lambda}" && made == "operator()" ? outer : outer + "::" + made;
  }
  std::free(scopes);
  return made;
}

}  // namespace outlive::dwarf
