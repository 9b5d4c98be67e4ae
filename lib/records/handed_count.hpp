// How many permits and jobs of a thread are on their way to another one: handed over, and taken by
// nobody yet. Their words name the thread, which cannot release them any more.
//
// It is counted twice. In the memory of the process, exactly: a record is released only when no
// word names it. In the thread's record, as a hint for supervisors: the thread that a word names
// need not be the one that has the permit.
#pragma once

#include <atomic>
#include <cstdint>

#include "format/layout.hpp"

namespace outlive::detail {

// How many of those that a thread has handed over name it no longer. Other threads of the process
// count.
struct handed_count {
  std::atomic<std::uint32_t> ended{0};
};

// The hint counts in one life of the record alone: what was handed over may outlive its giver, and
// with it the record's life.
class handed_hint {
 public:
  handed_hint(thread_record& record, std::uint64_t generation) noexcept
      : word_(record.handed), life_(life_bits(generation)) {}

  // Before the object can be taken.
  void add() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while (!word_.compare_exchange_weak(seen, (is_of_life(seen) ? seen : life_) + 1,
                                        std::memory_order_release, std::memory_order_relaxed)) {
    }
  }
  // After the word names another thread, or nobody. If the thread that takes dies before, the count
  // stays too high for the rest of this life: then the giver counts as able to go on.
  void remove() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while (is_of_life(seen) && seen != life_ &&
           !word_.compare_exchange_weak(seen, seen - 1, std::memory_order_release,
                                        std::memory_order_relaxed)) {
    }
  }
  // Whether the record's thread has something on its way. Acquire: pairs with the two above.
  [[nodiscard]] static bool is_set(const thread_record& record) noexcept {
    const std::uint64_t generation = record.generation.load(std::memory_order_acquire);
    const std::uint64_t seen = record.handed.load(std::memory_order_acquire);
    return (seen & count_bits) != 0 && (seen & ~count_bits) == life_bits(generation);
  }

 private:
  static constexpr std::uint64_t count_bits = 0xffffffff;
  static std::uint64_t life_bits(std::uint64_t generation) noexcept { return generation << 32; }
  [[nodiscard]] bool is_of_life(std::uint64_t seen) const noexcept {
    return (seen & ~count_bits) == life_;
  }

  shared_u64& word_;
  std::uint64_t life_;
};

}  // namespace outlive::detail
