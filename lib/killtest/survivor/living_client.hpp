// living_client: a thread that lives, and acquires a mutex that needs no repair while others are
// left to recover.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <outlive/killtest/scenario.hpp>

namespace outlive::killtest::detail {

// Lets the scenario's client look at each of the mutexes (offsets) that it can acquire without a
// repair, if any of them needs one. In the calling process.
// Returns: what the client says is wrong, or did wrong; empty if nothing.
[[nodiscard]] std::string ask_living_client(const scenario& what, segment& seg,
                                            std::span<const std::uint64_t> mutexes);

}  // namespace outlive::killtest::detail
