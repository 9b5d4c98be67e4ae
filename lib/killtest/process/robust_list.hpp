// A thread's list of robust mutexes, read as the kernel reads it at the thread's death
// (robust-futex-ABI.txt).
#pragma once

#include <linux/futex.h>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace outlive::killtest::detail {

// The most that the kernel marks.
inline constexpr std::size_t max_robust_locks = 2048;

// Writes the offsets of the mutexes on the list at `head` that lie in [base, base + size), the
// pending one included, each once. `into` has room for max_robust_locks. `read(address, value)`
// fetches a value from the thread's memory and returns whether it could. Async-signal-safe if
// `read` is.
// Returns: how many; nothing if the head cannot be read.
template <class Read>
std::optional<std::size_t> read_robust_list(const void* head, const char* base, std::size_t size,
                                            const Read& read, std::uint64_t* into) noexcept {
  robust_list_head list;
  if (!read(head, list)) return std::nullopt;
  // Bit 0 of a pointer marks a mutex that inherits priority.
  const auto address_of = [](const ::robust_list* entry) {
    return reinterpret_cast<std::uintptr_t>(entry) & ~std::uintptr_t{1};
  };
  std::size_t count = 0;
  const auto add = [&](const ::robust_list* entry) {
    const auto address = address_of(entry) + static_cast<std::uintptr_t>(list.futex_offset);
    const std::uint64_t offset = address - reinterpret_cast<std::uintptr_t>(base);
    if (offset >= size) return;
    for (std::size_t i = 0; i < count; ++i) {
      if (into[i] == offset) return;
    }
    if (count < max_robust_locks) into[count++] = offset;
  };
  ::robust_list entry = list.list;
  for (std::size_t i = 0;
       i < max_robust_locks && entry.next != static_cast<const ::robust_list*>(head); ++i) {
    add(entry.next);
    if (!read(reinterpret_cast<const void*>(address_of(entry.next)), entry)) break;
  }
  if (list.list_op_pending != nullptr) add(list.list_op_pending);
  return count;
}

class robust_list {
 public:
  // Asks the kernel for the address of a thread's list: a thread of this process or a traced one; 0
  // is the calling thread. Throws std::system_error if it has none.
  explicit robust_list(int tid = 0);

  [[nodiscard]] const void* head() const noexcept { return head_; }

  // read_robust_list() for the calling thread.
  std::size_t offsets(const char* base, std::size_t size, std::uint64_t* into) const noexcept;

 private:
  const void* head_ = nullptr;
};

}  // namespace outlive::killtest::detail
