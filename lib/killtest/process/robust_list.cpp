#include "killtest/process/robust_list.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace outlive::killtest::detail {

robust_list::robust_list(int tid) {
  void* head = nullptr;
  std::size_t length = 0;
  const int error = ::syscall(SYS_get_robust_list, tid, &head, &length) != 0 ? errno
                    : head == nullptr                                        ? ENODATA
                                                                             : 0;
  if (error != 0) {
    const std::string who = tid == 0 ? "the calling thread" : "thread " + std::to_string(tid);
    throw std::system_error(error, std::generic_category(),
                            "get_robust_list: the list of robust mutexes of " + who);
  }
  head_ = head;
}

std::size_t robust_list::offsets(const char* base, std::size_t size,
                                 std::uint64_t* into) const noexcept {
  const auto here = [](const void* at, auto& value) {
    std::memcpy(&value, at, sizeof value);
    return true;
  };
  return read_robust_list(head_, base, size, here, into).value_or(0);
}

}  // namespace outlive::killtest::detail
