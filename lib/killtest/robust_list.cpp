#include "killtest/robust_list.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace outlive::killtest::detail {

robust_list::robust_list() {
  void* head = nullptr;
  std::size_t length = 0;
  if (syscall(SYS_get_robust_list, 0, &head, &length) != 0 || head == nullptr) {
    throw std::system_error(head == nullptr ? ENODATA : errno, std::generic_category(), "get_robust_list: this thread has none");
  }
  head_ = head;
}

std::size_t robust_list::offsets(const char* base, std::size_t size, std::uint64_t* into) const noexcept {
  const auto& head = *static_cast<const robust_list_head*>(head_);
  std::size_t count = 0;
  const auto take = [&](const ::robust_list* entry) {
    // Bit 0 says that it inherits priority.
    const auto address = (reinterpret_cast<std::uintptr_t>(entry) & ~std::uintptr_t{1}) + static_cast<std::uintptr_t>(head.futex_offset);
    const std::uint64_t offset = address - reinterpret_cast<std::uintptr_t>(base);
    if (offset >= size) return;
    for (std::size_t i = 0; i < count; ++i) {
      if (into[i] == offset) return;
    }
    if (count < max_robust_locks) into[count++] = offset;
  };
  const ::robust_list* each = head.list.next;
  for (std::size_t i = 0; i < max_robust_locks && each != &head.list; ++i) {
    take(each);
    each = reinterpret_cast<const ::robust_list*>(reinterpret_cast<std::uintptr_t>(each->next) & ~std::uintptr_t{1});
  }
  if (head.list_op_pending != nullptr) take(head.list_op_pending);
  return count;
}

}  // namespace outlive::killtest::detail
