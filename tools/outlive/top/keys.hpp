// Keys, as a terminal sends them.
#pragma once

#include <string>

namespace top {

enum class key_name {
  none,
  character,
  enter,
  escape,
  tab,
  backspace,
  interrupt,  // ^C, which raw mode makes a key
  up,
  down,
  page_up,
  page_down,
  home,
  end,
};

struct key_press {
  key_name what = key_name::none;
  std::string text;  // of a character: its bytes
};

// Removes the first key from what a terminal has sent. A key without a meaning here is `none`.
// Requires: bytes is not empty.
[[nodiscard]] key_press take_key(std::string& bytes);

}  // namespace top
