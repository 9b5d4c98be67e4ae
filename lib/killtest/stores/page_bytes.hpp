// The size of a page where stores are seen by their pages: x86-64 has no other for them.
#pragma once

#include <cstddef>

namespace outlive::killtest::detail {

inline constexpr std::size_t page_bytes = 4096;

}  // namespace outlive::killtest::detail
