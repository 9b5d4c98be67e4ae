// write_guard: makes stores to the segment fault, and lets single instructions through.
//
// By pages: mprotect(), for all threads, two system calls for a store. By a protection key: the
// segment's pages have a key, and a register of the thread, PKRU, says what it may do with them;
// what an interrupted thread has in that register stands in the signal's frame, so that opening and
// closing is a store into that frame. In a signal handler the kernel gives the register a value
// that denies all keys but 0, reading, too: hence enter(). It also marks no mutex of a dying thread
// in memory that the thread may not write to, which holds for both forms: hence open() before a
// death.
#pragma once

#include <signal.h>
#include <ucontext.h>

#include <cstddef>

#include <outlive/killtest/report.hpp>

namespace outlive::killtest::detail {

// Whether this machine has that form; says why not.
[[nodiscard]] const char* why_no_page_protection() noexcept;
[[nodiscard]] const char* why_no_protection_keys() noexcept;

#if defined(__x86_64__)

class write_guard {
 public:
  // Allocates a key where one is needed. Throws std::system_error.
  void begin(engine how, char* base, std::size_t size);

  // From here on stores fault.
  void close() noexcept;
  // The calling thread may write again, in a signal handler, too, and may die.
  void open() noexcept;

  // ---- in signal handlers
  // First of all: the handler may look at the segment.
  void enter() const noexcept;
  // Whether this is a store to the segment that was not allowed.
  [[nodiscard]] bool is_store(const siginfo_t& info, const ucontext_t& context) const noexcept;
  // Whether this is a load that a signal handler of the victim was denied; then it is allowed from
  // here on.
  [[nodiscard]] bool allows_load(const siginfo_t& info, ucontext_t& context) const noexcept;
  // Whether one instruction that stores to several pages faults for each of them.
  [[nodiscard]] bool faults_for_each_page() const noexcept { return key_ < 0; }
  // The interrupted code may store to this page, and may not any more.
  void let_through(char* page, ucontext_t& context) const noexcept;
  void stop_again(char* page, ucontext_t& context) const noexcept;

 private:
  [[nodiscard]] bool is_inside(const siginfo_t& info) const noexcept;

  char* base_ = nullptr;
  std::size_t size_ = 0;
  int key_ = -1;                     // by pages
  std::size_t register_offset_ = 0;  // of PKRU in a frame's area for extended registers
};

#endif

}  // namespace outlive::killtest::detail
