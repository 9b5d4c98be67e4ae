// A thread's list of robust mutexes, as the kernel reads it when the thread dies
// (robust-futex-ABI.txt).
#pragma once

#include <linux/futex.h>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace outlive::killtest::detail {

// What the kernel marks at most.
inline constexpr std::size_t max_robust_locks = 2048;

// Writes the offsets of the mutexes on the list at `head` that lie in [base, base + size), the
// pending one included and none twice; `into` has room for max_robust_locks. `read(address, value)`
// fetches from the thread's memory, and says whether there is any. Async-signal-safe, if `read` is.
// Returns: how many; nothing if the head cannot be read.
template <class Read>
std::optional<std::size_t> read_robust_list(const void* head, const char* base, std::size_t size,
                                            const Read& read, std::uint64_t* into) noexcept {
  robust_list_head list;
  if (!read(head, list)) return std::nullopt;
  // Bit 0 of a pointer says that the mutex inherits priority.
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
  // Asks the kernel where the list of a thread of this process, or of a traced one, is; 0: the
  // calling thread. Throws std::system_error when it has none.
  explicit robust_list(int tid = 0);

  [[nodiscard]] const void* head() const noexcept { return head_; }

  // As read_robust_list(), of the calling thread.
  std::size_t offsets(const char* base, std::size_t size, std::uint64_t* into) const noexcept;

 private:
  const void* head_ = nullptr;
};

}  // namespace outlive::killtest::detail
