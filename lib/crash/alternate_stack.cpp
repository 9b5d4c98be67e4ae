#include "crash/alternate_stack.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <limits>
#include <system_error>

namespace outlive::crash {

namespace {

// The program's own handlers also run on it, and may need much (symbolizers, crash uploaders). Only
// used pages take memory.
constexpr std::size_t stack_bytes = 256 * 1024;

std::size_t page() noexcept {
  return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

extern "C" void free_alternate_stack(void* memory) {
  char* const begin = static_cast<char*>(memory) + page();
  stack_t now{};
  if (::sigaltstack(nullptr, &now) == 0 && now.ss_sp == begin) {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    ::sigaltstack(&none, nullptr);
  }
  ::munmap(memory, page() + stack_bytes);
}

pthread_key_t the_key() {
  static const pthread_key_t key = [] {
    pthread_key_t made{};
    const int rc = ::pthread_key_create(&made, &free_alternate_stack);
    if (rc != 0) throw std::system_error(rc, std::generic_category(), "pthread_key_create");
    return made;
  }();
  return key;
}

}  // namespace

void prepare_alternate_stacks() {
  the_key();
}

int ensure_alternate_stack() noexcept {
  stack_t now{};
  if (::sigaltstack(nullptr, &now) != 0) return errno;
  if ((now.ss_flags & SS_DISABLE) == 0) return 0;
  void* const memory = ::mmap(nullptr, page() + stack_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return errno;
  // the guard page: a handler that needs more faults, and overwrites no memory of others
  ::mprotect(memory, page(), PROT_NONE);
  stack_t mine{};
  mine.ss_sp = static_cast<char*>(memory) + page();
  mine.ss_size = stack_bytes;
  int rc = ::pthread_setspecific(the_key(), memory);
  if (rc == 0 && ::sigaltstack(&mine, nullptr) != 0) {
    rc = errno;
    ::pthread_setspecific(the_key(), nullptr);
  }
  if (rc != 0) ::munmap(memory, page() + stack_bytes);
  return rc;
}

std::size_t left_on_alternate_stack() noexcept {
  stack_t now{};
  if (::sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_ONSTACK) == 0)
    return std::numeric_limits<std::size_t>::max();
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const auto begin = reinterpret_cast<std::uintptr_t>(now.ss_sp);
  return here > begin ? here - begin : 0;
}

}  // namespace outlive::crash
