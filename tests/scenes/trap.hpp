// A trap in pthread's calls: a thread dies, or does something else, before or after the n-th call
// on a mutex in some memory.
//
// This program's functions precede libc's. Only one source of a program may include this, because
// it defines them.
#pragma once

#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <csignal>

#include "scenes/report_copy.hpp"

namespace outlive::testing {
namespace {

struct trap {
  const char* from = nullptr;  // calls on mutexes in this memory count
  const char* to = nullptr;
  int left = -1;  // calls before death; below 0: disarmed
  text_copy<64>* place = nullptr;
  void (*act)() = [] { kill(getpid(), SIGKILL); };
};
trap the_trap;

void pass(const pthread_mutex_t* mutex, const char* place) noexcept {
  const char* const at = reinterpret_cast<const char*>(mutex);
  if (the_trap.left < 0 || at < the_trap.from || at >= the_trap.to) return;
  if (the_trap.left-- > 0) return;
  if (the_trap.place != nullptr) *the_trap.place = place;
  the_trap.act();
}

using mutex_call = int (*)(pthread_mutex_t*);
mutex_call next(const char* name) noexcept {
  return reinterpret_cast<mutex_call>(dlsym(RTLD_NEXT, name));
}

}  // namespace
}  // namespace outlive::testing

extern "C" int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  using namespace outlive::testing;
  static const mutex_call real = next("pthread_mutex_trylock");
  pass(mutex, "before trylock");
  const int rc = real(mutex);
  pass(mutex, "after trylock");
  return rc;
}

extern "C" int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  using namespace outlive::testing;
  static const mutex_call real = next("pthread_mutex_unlock");
  pass(mutex, "before unlock");
  const int rc = real(mutex);
  pass(mutex, "after unlock");
  return rc;
}

extern "C" int pthread_mutex_consistent(pthread_mutex_t* mutex) noexcept {
  using namespace outlive::testing;
  static const mutex_call real = next("pthread_mutex_consistent");
  pass(mutex, "before consistent");
  const int rc = real(mutex);
  pass(mutex, "after consistent");
  return rc;
}
