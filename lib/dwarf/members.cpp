#include "dwarf/members.hpp"

#include <dwarf.h>

#include <cctype>
#include <optional>
#include <string_view>
#include <vector>

namespace outlive::dwarf {

namespace {

constexpr unsigned max_depth = 32;  // more is no type

std::optional<std::uint64_t> number(Dwarf_Die* of, unsigned attribute) {
  Dwarf_Attribute found;
  Dwarf_Word value = 0;
  if (dwarf_attr_integrate(of, attribute, &found) == nullptr ||
      dwarf_formudata(&found, &value) != 0)
    return std::nullopt;
  return value;
}

std::optional<Dwarf_Die> type_of(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  Dwarf_Die found;
  if (dwarf_attr_integrate(die, DW_AT_type, &attribute) == nullptr ||
      dwarf_formref_die(&attribute, &found) == nullptr)
    return std::nullopt;
  return found;
}

// Without typedefs and const.
std::optional<Dwarf_Die> plain(Dwarf_Die type) {
  Dwarf_Die found;
  if (dwarf_peel_type(&type, &found) != 0) return std::nullopt;
  return found;
}

std::uint64_t bits_of(Dwarf_Die type) {
  Dwarf_Word bytes = 0;
  return dwarf_aggregate_size(&type, &bytes) == 0 ? std::uint64_t{bytes} * 8 : 0;
}

// A member or a base, and the bits of the object that it has.
struct part {
  Dwarf_Die die;
  Dwarf_Die type;
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
  [[nodiscard]] bool has(std::uint64_t bit) const noexcept {
    return bit >= begin && bit - begin < size;
  }
};

std::optional<part> part_of(Dwarf_Die die) {
  const int tag = dwarf_tag(&die);
  if (tag != DW_TAG_member && tag != DW_TAG_inheritance) return std::nullopt;
  // a static member has a place of its own
  if (dwarf_hasattr(&die, DW_AT_declaration) != 0 || dwarf_hasattr(&die, DW_AT_external) != 0)
    return std::nullopt;
  const auto type = type_of(&die);
  if (!type) return std::nullopt;
  part made{die, *type, 0, bits_of(*type)};
  if (const auto bits = number(&die, DW_AT_bit_size)) made.size = *bits;
  if (const auto at = number(&die, DW_AT_data_bit_offset)) {
    made.begin = *at;
  } else if (dwarf_hasattr(&die, DW_AT_data_member_location) != 0) {
    const auto bytes = number(&die, DW_AT_data_member_location);
    if (!bytes) return std::nullopt;  // a virtual base: the object itself says where
    made.begin = *bytes * 8;
    // DWARF 3 counts a bit field from the most significant bit of its unit
    if (const auto from_top = number(&die, DW_AT_bit_offset))
      made.begin += bits_of(*type) - *from_top - made.size;
  }
  return made;
}

// Names that are reserved for the implementation: "_M_elems", "__value_".
bool is_reserved(std::string_view name) noexcept {
  return name.size() > 1 && name[0] == '_' &&
         (name[1] == '_' || std::isupper(static_cast<unsigned char>(name[1])) != 0);
}

std::string name_of(part& member, Dwarf_Die* of) {
  const char* const name = dwarf_diename(&member.die);
  if (name == nullptr || dwarf_tag(&member.die) == DW_TAG_inheritance || is_reserved(name))
    return {};
  const char* const whole = dwarf_diename(of);
  const bool is_guarded = whole != nullptr && std::string_view(whole).starts_with("guarded<");
  if (is_guarded && std::string_view(name) == "value_") return {};
  return std::string(".") + name;
}

std::string find(Dwarf_Die type, std::uint64_t bit, unsigned depth);

std::string in_class(Dwarf_Die type, std::uint64_t bit, unsigned depth) {
  std::optional<part> best;
  Dwarf_Die child;
  if (dwarf_child(&type, &child) != 0) return {};
  do {
    const auto found = part_of(child);
    // An empty base may share its one byte with a member.
    if (found && found->has(bit) && (!best || found->size > best->size)) best = found;
  } while (dwarf_siblingof(&child, &child) == 0);
  if (!best) return {};
  return name_of(*best, &type) + find(best->type, bit - best->begin, depth + 1);
}

std::string in_array(Dwarf_Die type, std::uint64_t bit, unsigned depth) {
  std::vector<std::uint64_t> counts;
  Dwarf_Die child;
  if (dwarf_child(&type, &child) != 0) return {};
  do {
    if (dwarf_tag(&child) != DW_TAG_subrange_type) continue;
    const auto count = number(&child, DW_AT_count);
    const auto last = number(&child, DW_AT_upper_bound);
    if (!count && !last) return {};
    counts.push_back(count ? *count : *last + 1);
  } while (dwarf_siblingof(&child, &child) == 0);
  const auto element = type_of(&type);
  const std::uint64_t size = element ? bits_of(*element) : 0;
  if (size == 0) return {};
  std::uint64_t index = bit / size;
  std::string text;
  for (auto count = counts.rbegin(); count != counts.rend(); ++count) {
    if (*count == 0) return {};
    text = '[' + std::to_string(index % *count) + ']' + text;
    index /= *count;
  }
  if (index != 0) return {};  // behind the last element
  return text + find(*element, bit % size, depth + 1);
}

std::string find(Dwarf_Die type, std::uint64_t bit, unsigned depth) {
  auto of = plain(type);
  if (!of || depth > max_depth) return {};
  switch (dwarf_tag(&*of)) {
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type: return in_class(*of, bit, depth);
    case DW_TAG_array_type: return in_array(*of, bit, depth);
    default: return {};
  }
}

}  // namespace

std::string member_at(Dwarf_Die type, std::uint64_t bit) {
  return find(type, bit, 0);
}

}  // namespace outlive::dwarf
