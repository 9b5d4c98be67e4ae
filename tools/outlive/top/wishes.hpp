// What the user of `outlive top` has chosen by keys.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "top/keys.hpp"

namespace top {

enum class order { waiters, time, rate, name };
[[nodiscard]] std::string_view to_string(order by) noexcept;

enum class section { threads, mutexes, queues, permits };
inline constexpr std::size_t section_count = 4;
[[nodiscard]] std::string_view to_string(section of) noexcept;

struct wishes {
  order by = order::waiters;
  bool by_process = false;
  bool help = false;
  bool typing = false;  // of the filter
  std::string filter;   // lines without it are left out, whatever the case of its letters
  section scrolled = section::mutexes;
  std::map<section, std::size_t> first;  // the first row that is shown

  enum class result { redraw, update, quit };
  // `page`: rows of a page.
  result press(const key_press& key, std::size_t page);

 private:
  result type(const key_press& key);
  void scroll(const key_press& key, std::size_t page);
};

}  // namespace top
