// acts: what victims and heirs do, where they are logged and where they are killed for real.
#pragma once

#include <cstdint>
#include <span>

#include <outlive/killtest/explore.hpp>
#include <outlive/killtest/scenario.hpp>

namespace outlive::killtest::detail {

void act_as_victim(const scenario& what, const explore_options& how, segment& seg, bool logged);
void act_as_heir(const scenario& what, segment& seg, std::span<const std::uint64_t> mutexes);

[[nodiscard]] inline char* base_of(const segment& seg) noexcept {
  return static_cast<char*>(const_cast<void*>(seg.base()));
}

}  // namespace outlive::killtest::detail
