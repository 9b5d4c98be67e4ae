// members: which member of a type lies at a place, from debugging information.
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <string>

namespace outlive::dwarf {

// The member at a bit of an object, as one writes it behind the object's name: ".undo.valid",
// "[3].balance". Members of base classes are named as members of the object. Of a union it is the
// largest member that has the bit. Members of the standard library's classes have no name that one
// can write, and guarded<T> stands for its T: they are left out.
// Returns: empty for the object itself, and where there is no member: between two of them, and
//   behind the last one.
[[nodiscard]] std::string member_at(Dwarf_Die type, std::uint64_t bit);

}  // namespace outlive::dwarf
