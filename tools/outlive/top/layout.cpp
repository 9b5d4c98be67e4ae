#include "top/layout.hpp"

namespace top {

std::vector<std::size_t> share_rows(const std::vector<std::size_t>& wanted, std::size_t room) {
  std::vector<std::size_t> given(wanted.size(), 0);
  const std::size_t fixed = wanted.empty() ? 0 : 2 * wanted.size() - 1;
  for (std::size_t left = room > fixed ? room - fixed : 0; left > 0; --left) {
    std::size_t least = wanted.size();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (given[i] < wanted[i] && (least == wanted.size() || given[i] < given[least])) least = i;
    }
    if (least == wanted.size()) break;
    ++given[least];
  }
  return given;
}

}  // namespace top
