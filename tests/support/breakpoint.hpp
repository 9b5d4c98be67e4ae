// The two kinds of breakpoint in a traced child. x86-64 only.
#pragma once

#if defined(__x86_64__)
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

#include "support/code_address.hpp"

namespace outlive::testing {

[[noreturn]] inline void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

/// ptrace with the right types.
template <typename Data>
long request(int what, pid_t pid, std::uintptr_t address, Data data) {
  return ptrace(static_cast<__ptrace_request>(what), pid, reinterpret_cast<void*>(address), data);
}

/// A debug register: the child stops before the instruction and continues without a step over it.
/// It costs a third of an int3.
class debug_register {
 public:
  debug_register(pid_t pid, std::uintptr_t address) : pid_(pid) {
    constexpr std::uintptr_t enable_for_execution = 1;
    set_ = poke(0, address) && poke(7, enable_for_execution);
  }
  debug_register(const debug_register&) = delete;
  debug_register& operator=(const debug_register&) = delete;
  ~debug_register() {
    if (set_) poke(7, 0);
  }
  /// False: none is available here.
  explicit operator bool() const { return set_; }

 private:
  bool poke(std::size_t number, std::uintptr_t value) const {
    return request(PTRACE_POKEUSER, pid_,
                   offsetof(user, u_debugreg) + number * sizeof(unsigned long), value) == 0;
  }
  pid_t pid_;
  bool set_ = false;
};

/// Places an int3, and restores the code. For machines that offer no debug registers.
class breakpoint {
 public:
  breakpoint(pid_t pid, std::uintptr_t address) : pid_(pid), address_(address) {
    errno = 0;
    saved_ = request(PTRACE_PEEKTEXT, pid_, address_, nullptr);
    if (errno != 0) fail("cannot read the code at " + describe_address(address_));
    place();
  }
  void place() { write((static_cast<unsigned long>(saved_) & ~0xfful) | 0xcc); }
  void remove() { write(static_cast<unsigned long>(saved_)); }

 private:
  void write(unsigned long word) {
    if (request(PTRACE_POKETEXT, pid_, address_, word) != 0)
      fail("cannot write code at " + describe_address(address_));
  }
  pid_t pid_;
  std::uintptr_t address_;
  long saved_;
};

}  // namespace outlive::testing
#endif
