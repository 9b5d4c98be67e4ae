// unit_index: the functions of a compilation unit, by address. libdw searches the whole unit for
// each question, which takes a millisecond if the unit includes a test framework. This reads it
// once.
#pragma once

#include <elfutils/libdw.h>

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

namespace outlive::dwarf {

class unit_index {
 public:
  explicit unit_index(Dwarf_Die unit);

  // The function with code at the address, and the functions inlined there: innermost first. Empty
  // if there is none.
  [[nodiscard]] std::vector<Dwarf_Die> functions_at(Dwarf_Addr address) const;

  // The name of a function, inlined or not, with its namespaces and classes.
  [[nodiscard]] std::string name_of(Dwarf_Die function) const;

  [[nodiscard]] Dwarf_Die* unit() const noexcept { return &unit_; }

 private:
  struct range {
    Dwarf_Addr begin;
    Dwarf_Addr end;
    std::size_t function;  // index
  };
  void index_scope(Dwarf_Die* scope, const std::string& name);
  void add_function(Dwarf_Die* function);

  mutable Dwarf_Die unit_;  // libdw takes a pointer, and changes nothing
  std::vector<Dwarf_Die> functions_;
  std::vector<range> ranges_;  // by address
  // of functions in namespaces, by the address of their debugging information
  std::unordered_map<const void*, std::string> scopes_;
};

}  // namespace outlive::dwarf
