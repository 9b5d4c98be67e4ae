#include "top/wishes.hpp"

#include <algorithm>
#include <limits>

namespace top {

std::string_view to_string(order by) noexcept {
  switch (by) {
    case order::waiters: return "waiters";
    case order::time: return "time";
    case order::rate: return "rate";
    case order::name: return "name";
  }
  return "?";
}

std::string_view to_string(section of) noexcept {
  switch (of) {
    case section::threads: return "threads";
    case section::mutexes: return "mutexes";
    case section::queues: return "queues";
    case section::permits: return "permits";
  }
  return "?";
}

wishes::result wishes::press(const key_press& key, std::size_t page) {
  if (key.what == key_name::none) return result::redraw;  // nothing was pressed
  if (help) {
    help = false;
    return key.text == "q" ? result::quit : result::redraw;
  }
  if (typing) return type(key);
  if (key.what == key_name::escape) filter.clear();
  if (key.what == key_name::tab)
    scrolled = static_cast<section>((static_cast<std::size_t>(scrolled) + 1) % section_count);
  scroll(key, page);
  if (key.what != key_name::character) return result::redraw;
  if (key.text == "q") return result::quit;
  if (key.text == " ") return result::update;
  if (key.text == "p") by_process = !by_process;
  if (key.text == "s") by = by == order::name ? order::waiters : order(static_cast<int>(by) + 1);
  if (key.text == "?" || key.text == "h") help = true;
  if (key.text == "/") {
    typing = true;
    filter.clear();
  }
  return result::redraw;
}

wishes::result wishes::type(const key_press& key) {
  if (key.what == key_name::character) filter += key.text;
  if (key.what == key_name::enter) typing = false;
  if (key.what == key_name::escape) {
    typing = false;
    filter.clear();
  }
  if (key.what == key_name::backspace && !filter.empty()) {
    // all bytes of a character
    while (filter.size() > 1 && (static_cast<unsigned char>(filter.back()) & 0xc0) == 0x80)
      filter.pop_back();
    filter.pop_back();
  }
  first.clear();
  return result::redraw;
}

void wishes::scroll(const key_press& key, std::size_t page) {
  std::size_t& at = first[scrolled];  // the frame takes care that it is not beyond the end
  switch (key.what) {
    case key_name::up: at -= std::min<std::size_t>(at, 1); break;
    case key_name::down: ++at; break;
    case key_name::page_up: at -= std::min(at, page); break;
    case key_name::page_down: at += page; break;
    case key_name::home: at = 0; break;
    case key_name::end: at = std::numeric_limits<std::size_t>::max() / 2; break;
    default: break;
  }
}

}  // namespace top
