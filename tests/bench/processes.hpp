// Children of the benchmark: forked, bound to their parent's life, woken and waited for through
// words in shared memory.
#pragma once

#include <linux/futex.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>

namespace outlive::testing {

// No wait of a benchmark is longer: whatever takes so long is broken.
inline constexpr std::uint64_t patience_ns = 60'000'000'000u;

using shared_word = std::atomic<std::uint32_t>;

// Runs `body` in a child that dies with its parent, and ends when body does.
[[nodiscard]] pid_t fork_child(const std::function<void()>& body);
void kill_and_reap(pid_t child);

void pin_to(int cpu);
// CPUs that this process may use, in order.
[[nodiscard]] int cpu_count();
[[nodiscard]] int nth_cpu(int index);

// Waits while the word is `value`. Throws after patience_ns.
void wait_while(const shared_word& word, std::uint32_t value);
// Waits for orders, as long as the parent likes; a child dies with its parent. Returns: the new
// value.
[[nodiscard]] std::uint32_t next_order(const shared_word& word, std::uint32_t value);
void set_and_wake(shared_word& word, std::uint32_t value);

// Waits until the process sleeps. Throws when it does not, or is gone.
void wait_until_asleep(pid_t child);

}  // namespace outlive::testing
