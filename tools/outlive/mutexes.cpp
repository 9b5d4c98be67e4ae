#include "mutexes.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "looks.hpp"

namespace mutexes {

namespace {

std::optional<std::uint64_t> number_in(std::string_view text) {
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<outlive::viewed_lock> find(const outlive::segment_view& view,
                                         const std::string& named) {
  const auto all = view.locks();
  const auto by_name = std::find_if(all.begin(), all.end(), [&](const outlive::viewed_lock& each) {
    return looks::mutex_name(each) == named;
  });
  if (by_name != all.end()) return *by_name;
  const auto offset = number_in(named);
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
