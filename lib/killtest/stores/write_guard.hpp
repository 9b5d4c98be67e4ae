// write_guard: makes stores to the segment fault, and lets single instructions through.
//
// By pages: mprotect(), which affects all threads and takes two system calls for a store.
//
// By a protection key: the segment's pages have a key, and the thread's register PKRU says what it
// may do with them. The register of an interrupted thread is in the signal's frame, so that opening
// and closing is a store into that frame. In a signal handler the kernel sets the register to deny
// all keys but 0, even for reading. So each handler calls enter() first.
//
// With either form, the kernel marks no mutex of a dying thread in memory that the thread may not
// write. So open() comes before a death.
#pragma once

#include <signal.h>
#include <sys/stat.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>

#include <outlive/killtest/report.hpp>

namespace outlive::killtest::detail {

// Why this machine lacks that form; nullptr if it has it.
[[nodiscard]] const char* why_no_page_protection() noexcept;
[[nodiscard]] const char* why_no_protection_keys() noexcept;

#if defined(__x86_64__)

class write_guard {
 public:
  // Allocates a key if one is needed. `shared_with`: the file, if the view is shared; otherwise -1.
  // Throws std::system_error.
  void begin(engine how, char* base, std::size_t size, int shared_with);

  // From now on stores fault.
  void close() noexcept;
  // From now on the calling thread may write, in a signal handler, too, and may die.
  void open() noexcept;

  // Comes first: lets the handler read the segment.
  void enter() const noexcept;
  // Whether the fault is an access to the segment that the guard forbids.
  [[nodiscard]] bool is_inside(const siginfo_t& info) const noexcept;
  // Whether it is a store.
  [[nodiscard]] bool is_store(const siginfo_t& info, const ucontext_t& context) const noexcept;
  // Whether the fault is a load from the segment in a signal handler of the victim. Then it is
  // allowed from now on.
  [[nodiscard]] bool allows_load(const siginfo_t& info, ucontext_t& context) const noexcept;
  // Stores these bytes for the interrupted code, in a handler, while its own stores go on to fault.
  // Returns: false, and has stored nothing, if the system does not allow it. Requires: the process
  // of begin(). In a forked child it would store to the memory of the parent.
  [[nodiscard]] bool put(char* to, const std::byte* bytes, std::size_t size) noexcept;
  // Whether an instruction that stores to several pages faults for each of them.
  [[nodiscard]] bool faults_for_each_page() const noexcept { return key_ < 0; }
  // Lets the interrupted code store to this page, and stops it again.
  void let_through(char* page, ucontext_t& context) const noexcept;
  void stop_again(char* page, ucontext_t& context) const noexcept;
  // Lets the interrupted code store to all of the segment, from now on.
  void let_all_through(ucontext_t& context) noexcept;

 private:
  char* base_ = nullptr;
  std::size_t size_ = 0;
  int key_ = -1;                     // -1: by pages
  int file_ = -1;                    // for put(), by pages: the process's memory, or the file
  struct stat file_status_ {};       // when it was opened
  std::uintptr_t file_begin_ = 0;    // where the segment begins in it
  std::size_t register_offset_ = 0;  // of PKRU in a frame's area for extended registers
};

#endif

}  // namespace outlive::killtest::detail
