#include "top/keys.hpp"

#include <cstddef>
#include <string_view>

namespace top {

namespace {

// What follows ESC [ or ESC O. Terminals differ in the last four.
key_name named(std::string_view sequence) noexcept {
  if (sequence == "A") return key_name::up;
  if (sequence == "B") return key_name::down;
  if (sequence == "5~") return key_name::page_up;
  if (sequence == "6~") return key_name::page_down;
  if (sequence == "H" || sequence == "1~" || sequence == "7~") return key_name::home;
  if (sequence == "F" || sequence == "4~" || sequence == "8~") return key_name::end;
  return key_name::none;
}

std::string removed(std::string& from, std::size_t count) {
  std::string text = from.substr(0, count);
  from.erase(0, count);
  return text;
}

key_press take_sequence(std::string& bytes) {
  if (bytes.size() < 2 || (bytes[1] != '[' && bytes[1] != 'O')) {
    bytes.erase(0, 1);
    return {key_name::escape, {}};
  }
  std::size_t end = 2;  // of numbers, up to a letter or ~
  while (end < bytes.size() && bytes[end] >= 0x20 && bytes[end] < 0x40) ++end;
  const std::string all = removed(bytes, end + 1);
  return {named(std::string_view(all).substr(2)), {}};
}

}  // namespace

key_press take_key(std::string& bytes) {
  const auto first = static_cast<unsigned char>(bytes[0]);
  if (first == 0x1b) return take_sequence(bytes);
  if (first >= 0x20 && first != 0x7f) {
    std::size_t size = 1;
    while (first >= 0xc0 && size < bytes.size() &&
           (static_cast<unsigned char>(bytes[size]) & 0xc0) == 0x80)
      ++size;
    return {key_name::character, removed(bytes, size)};
  }
  bytes.erase(0, 1);
  switch (first) {
    case 3: return {key_name::interrupt, {}};
    case '\t': return {key_name::tab, {}};
    case '\r':
    case '\n': return {key_name::enter, {}};
    case 8:
    case 0x7f: return {key_name::backspace, {}};
    default: return {};
  }
}

}  // namespace top
