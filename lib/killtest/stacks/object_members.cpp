// Debugging information names a type in the compiler's own way ("long int" here, "long" there), so
// a type is not found by its name. It is found by what each program has that puts a T into a
// segment: the variable outlive::detail::type_hash<T>::known. The symbol of the variable names the
// T as typeid does, and the class that the variable belongs to has T as its argument.
#include "killtest/stacks/object_members.hpp"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdwfl.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "dwarf/members.hpp"
#include "killtest/stacks/process_modules.hpp"

namespace outlive::killtest::detail {

namespace {

std::string demangled(const std::string& name) {
  int status = 0;
  char* const text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  std::string made = status == 0 && text != nullptr ? text : "";
  std::free(text);
  return made;
}

template <class Visit>
void for_each_child(Dwarf_Die* of, Visit visit) {
  Dwarf_Die child;
  if (dwarf_child(of, &child) != 0) return;
  do visit(child);
  while (dwarf_siblingof(&child, &child) == 0);
}

bool is_named(Dwarf_Die* die, std::string_view name) {
  const char* const found = dwarf_diename(die);
  return found != nullptr && name == found;
}

std::optional<Dwarf_Die> first_template_argument(Dwarf_Die* of) {
  std::optional<Dwarf_Die> found;
  for_each_child(of, [&](Dwarf_Die child) {
    Dwarf_Attribute attribute;
    Dwarf_Die type;
    if (!found && dwarf_tag(&child) == DW_TAG_template_type_parameter &&
        dwarf_formref_die(dwarf_attr(&child, DW_AT_type, &attribute), &type) != nullptr)
      found = type;
  });
  return found;
}

// The types of the objects of segments that the program has, by the name of the variable.
class object_types {
 public:
  object_types() {
    if (modules_.get() == nullptr) return;
    const auto add = [](Dwfl_Module* module, void**, const char*, Dwarf_Addr, void* to) {
      static_cast<object_types*>(to)->add_module(module);
      return static_cast<int>(DWARF_CB_OK);
    };
    dwfl_getmodules(modules_.get(), add, this, 0);
  }

  [[nodiscard]] std::optional<Dwarf_Die> find(std::string_view type) const {
    const std::string name = demangled(std::string(type));
    const auto found = by_variable_.find("outlive::detail::type_hash<" + name +
                                         (name.ends_with('>') ? " " : "") + ">::known");
    if (name.empty() || found == by_variable_.end()) return std::nullopt;
    return found->second;
  }

 private:
  void add_module(Dwfl_Module* module) {
    Dwarf_Addr bias = 0;
    Dwarf* const all = dwfl_module_getdwarf(module, &bias);
    if (all == nullptr) return;
    Dwarf_CU* unit = nullptr;
    Dwarf_Die die;
    Dwarf_Die split;  // its debugging information, if that is in a file of its own
    while (dwarf_get_units(all, unit, &unit, nullptr, nullptr, &die, &split) == 0)
      add_unit(module, bias, dwarf_tag(&split) == DW_TAG_compile_unit ? &split : &die);
  }

  void add_unit(Dwfl_Module* module, Dwarf_Addr bias, Dwarf_Die* unit) {
    std::unordered_map<const void*, Dwarf_Die> types;  // by the declaration of the variable
    for_each_child(unit, [&](Dwarf_Die outer) {
      if (dwarf_tag(&outer) != DW_TAG_namespace || !is_named(&outer, "outlive")) return;
      for_each_child(&outer, [&](Dwarf_Die inner) {
        if (dwarf_tag(&inner) != DW_TAG_namespace || !is_named(&inner, "detail")) return;
        for_each_child(&inner, [&](Dwarf_Die each) { add_declaration(&each, types); });
      });
    });
    if (types.empty()) return;
    for_each_child(unit, [&](Dwarf_Die each) { add_variable(module, bias, &each, types); });
  }

  static void add_declaration(Dwarf_Die* of, std::unordered_map<const void*, Dwarf_Die>& to) {
    const char* const name = dwarf_diename(of);
    if (name == nullptr || !std::string_view(name).starts_with("type_hash<")) return;
    const auto type = first_template_argument(of);
    if (!type) return;
    for_each_child(of, [&](Dwarf_Die child) {
      if (is_named(&child, "known")) to.emplace(child.addr, *type);
    });
  }

  void add_variable(Dwfl_Module* module, Dwarf_Addr bias, Dwarf_Die* variable,
                    const std::unordered_map<const void*, Dwarf_Die>& types) {
    Dwarf_Attribute attribute;
    Dwarf_Die declaration;
    if (dwarf_tag(variable) != DW_TAG_variable ||
        dwarf_attr(variable, DW_AT_specification, &attribute) == nullptr ||
        dwarf_formref_die(&attribute, &declaration) == nullptr)
      return;
    const auto type = types.find(declaration.addr);
    if (type == types.end()) return;
    Dwarf_Op* place = nullptr;
    std::size_t steps = 0;
    if (dwarf_attr(variable, DW_AT_location, &attribute) == nullptr ||
        dwarf_getlocation(&attribute, &place, &steps) != 0 || steps != 1)
      return;
    Dwarf_Addr address = place->number;
    if (place->atom != DW_OP_addr) {  // an index of a table of addresses
      Dwarf_Attribute in_table;
      if (dwarf_getlocation_attr(&attribute, place, &in_table) != 0 ||
          dwarf_formaddr(&in_table, &address) != 0)
        return;
    }
    const char* const symbol = dwfl_module_addrname(module, address + bias);
    if (symbol != nullptr) by_variable_.emplace(demangled(symbol), type->second);
  }

  process_modules modules_;
  std::unordered_map<std::string, Dwarf_Die> by_variable_;
};

}  // namespace

std::string member_of_object(std::string_view type, std::uint64_t bit) {
  static std::mutex guard;  // libdw's handles are for one thread at a time
  static module_changes known_as_of;
  static std::unique_ptr<object_types> known;
  const std::lock_guard hold(guard);
  const module_changes now = changes_of_modules();
  if (known == nullptr || now != known_as_of) known = std::make_unique<object_types>();
  known_as_of = now;
  const auto found = known->find(type);
  return found ? dwarf::member_at(*found, bit) : std::string();
}

}  // namespace outlive::killtest::detail
