#include "mutexes.hpp"

#include <algorithm>
#include <cstdint>

#include "arguments.hpp"
#include "looks.hpp"

namespace mutexes {

std::optional<outlive::viewed_lock> find(const outlive::segment_view& view,
                                         const std::string& named) {
  const auto all = view.locks();
  const auto by_name = std::find_if(all.begin(), all.end(), [&](const outlive::viewed_lock& each) {
    return looks::mutex_name(each) == named;
  });
  if (by_name != all.end()) return *by_name;
  const auto offset = named.starts_with("0x") ? parse_number<std::uint64_t>(named.substr(2), 16)
                                              : parse_number<std::uint64_t>(named);
  const auto by_offset =
      std::find_if(all.begin(), all.end(),
                   [&](const outlive::viewed_lock& each) { return each.offset == offset; });
  return by_offset != all.end() ? std::optional(*by_offset) : std::nullopt;
}

std::vector<outlive::viewed_lock> left_by_the_dead(const outlive::segment_view& view) {
  auto all = view.locks();
  std::erase_if(all, [](const outlive::viewed_lock& each) {
    const bool due = each.condition == outlive::viewed_condition::unrepaired;
    return !each.holder_died && !due;
  });
  return all;
}

}  // namespace mutexes
