// unit_index: the functions of a compilation unit, found by address. libdw goes through the whole
// unit for each question: a millisecond, where the unit includes a test framework. This goes
// through it once.
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

  // The function with code at the address, and what is inlined there: innermost first. Empty if
  // there is none.
  [[nodiscard]] std::vector<Dwarf_Die> functions_at(Dwarf_Addr address) const;

  // Of a function or an inlined one, with its namespaces and classes.
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

  mutable Dwarf_Die unit_;  // libdw takes pointers to what it does not change
  std::vector<Dwarf_Die> functions_;
  // by address
  std::vector<range> ranges_;
  // of functions in namespaces, by where their debugging information is
  std::unordered_map<const void*, std::string> scopes_;
};

}  // namespace outlive::dwarf
