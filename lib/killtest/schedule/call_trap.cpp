#include "killtest/schedule/call_trap.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <system_error>

#if defined(__x86_64__)

// The one place whose calls the filter lets through: it compares the address behind `syscall`.
asm(R"(
  .text
  .p2align 4
  .hidden outlive_killtest_untrapped_call
  .globl outlive_killtest_untrapped_call
  .type outlive_killtest_untrapped_call, @function
outlive_killtest_untrapped_call:
  .cfi_startproc
  movq %rdi, %rax
  movq %rsi, %rdi
  movq %rdx, %rsi
  movq %rcx, %rdx
  movq %r8, %r10
  movq %r9, %r8
  movq 8(%rsp), %r9
  syscall
  .hidden outlive_killtest_after_untrapped_call
  .globl outlive_killtest_after_untrapped_call
outlive_killtest_after_untrapped_call:
  ret
  .cfi_endproc
  .size outlive_killtest_untrapped_call, .-outlive_killtest_untrapped_call
)");

extern "C" {
long outlive_killtest_untrapped_call(long, long, long, long, long, long, long) noexcept;
extern const char outlive_killtest_after_untrapped_call[];
}

#endif

namespace outlive::killtest::detail {

#if defined(__x86_64__)

long untrapped_call(long number, long a, long b, long c, long d, long e, long f) noexcept {
  return outlive_killtest_untrapped_call(number, a, b, c, d, e, f);
}

const char* why_no_call_trap() noexcept {
  // A filter that is not there faults (EFAULT) where filters are allowed; the mode is not changed.
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, nullptr) == -1 && errno == EFAULT)
    return nullptr;
  return "the kernel, or a seccomp filter, allows no seccomp filter here";
}

void trap_calls() {
  const auto address = reinterpret_cast<std::uintptr_t>(outlive_killtest_after_untrapped_call);
  const auto low = static_cast<std::uint32_t>(address);
  const auto high = static_cast<std::uint32_t>(address >> 32);
  constexpr auto at = [](std::size_t offset) { return static_cast<std::uint32_t>(offset); };
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at(offsetof(seccomp_data, arch))),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 9),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at(offsetof(seccomp_data, nr))),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_nanosleep, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_nanosleep, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_yield, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at(offsetof(seccomp_data, instruction_pointer))),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, low, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at(offsetof(seccomp_data, instruction_pointer) + 4)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, high, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(code)), code};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    throw std::system_error(errno, std::generic_category(), "a seccomp filter");
}

#else

long untrapped_call(long, long, long, long, long, long, long) noexcept {
  return -ENOSYS;
}

const char* why_no_call_trap() noexcept {
  return "schedules are supported on x86-64 only";
}

void trap_calls() {
  throw std::system_error(ENOSYS, std::generic_category(), why_no_call_trap());
}

#endif

}  // namespace outlive::killtest::detail
