// The registers of an interrupted thread, by their DWARF numbers. This differs by architecture.
#pragma once

#include <sys/user.h>
#include <ucontext.h>

#include <cstdint>

namespace outlive::crash {

#if defined(__x86_64__)
struct registers {
  static constexpr unsigned count = 17;
  static constexpr unsigned stack_pointer = 7;
  static constexpr unsigned instruction = 16;
  std::uint64_t values[count];

  explicit registers(const ucontext_t& context) noexcept {
    constexpr int order[count] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                  REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                  REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    for (unsigned i = 0; i < count; ++i)
      values[i] = static_cast<std::uint64_t>(context.uc_mcontext.gregs[order[i]]);
  }
  explicit registers(const user_regs_struct& r) noexcept
      : values{r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8,
               r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip} {}
};
#elif defined(__aarch64__)
struct registers {
  static constexpr unsigned count = 33;
  static constexpr unsigned link = 30;
  static constexpr unsigned stack_pointer = 31;
  static constexpr unsigned instruction = 32;
  std::uint64_t values[count];

  explicit registers(const ucontext_t& context) noexcept {
    for (unsigned i = 0; i < stack_pointer; ++i) values[i] = context.uc_mcontext.regs[i];
    values[stack_pointer] = context.uc_mcontext.sp;
    values[instruction] = context.uc_mcontext.pc;
  }
  explicit registers(const user_regs_struct& r) noexcept {
    for (unsigned i = 0; i < stack_pointer; ++i) values[i] = r.regs[i];
    values[stack_pointer] = r.sp;
    values[instruction] = r.pc;
  }
};
#else
#error "the crash recorder knows x86-64 and aarch64"
#endif

}  // namespace outlive::crash
