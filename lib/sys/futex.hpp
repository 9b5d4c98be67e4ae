// Futexes: words in shared memory on which threads of any process sleep.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace outlive::detail {

// Sleeps while `word` is `seen`, for at most `span`. It may return for any reason or for none, so
// the caller checks what it waits for.
// Returns: whether the whole span went by, and nobody woke the thread.
bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t seen,
                std::chrono::nanoseconds span) noexcept;

// Wakes up to `count` threads that sleep on `word`. Returns: how many.
int futex_wake(std::uint32_t* word, int count) noexcept;
int futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept;

}  // namespace outlive::detail
