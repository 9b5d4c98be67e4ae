// object_members: the member of an object of the segment, from the program's debugging information.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace outlive::killtest::detail {

// The member at a bit of an object: "[3].balance", as dwarf::member_at() says. `type` is what the
// directory says of the object's type: the name of typeid, cut at 143 bytes.
// Returns: empty if the program has no debugging information of the type, or its name is cut.
// Any number of threads may call it.
[[nodiscard]] std::string member_of_object(std::string_view type, std::uint64_t bit);

}  // namespace outlive::killtest::detail
