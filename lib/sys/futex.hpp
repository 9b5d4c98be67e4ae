// Futexes: words in shared memory that threads of any process sleep on.
#pragma once

#include <cstdint>

namespace outlive::detail {

// Wakes up to `count` threads that sleep on `word`.
void futex_wake(std::uint32_t* word, int count) noexcept;

}  // namespace outlive::detail
