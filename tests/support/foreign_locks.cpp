#include "support/foreign_locks.hpp"

#include <dlfcn.h>
#include <linux/futex.h>
#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

namespace outlive::testing {
namespace {

void check(int error, const char* what) {
  if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

using lock_function = int (*)(pthread_mutex_t*);

/// From the C library itself, past a sanitizer's interceptors: ThreadSanitizer supports no thread
/// with more than 64 locks.
lock_function unseen(const char* name) {
  void* libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  void* found = libc ? dlsym(libc, name) : nullptr;
  if (found == nullptr) throw std::runtime_error(std::string("the C library has no ") + name);
  return reinterpret_cast<lock_function>(found);
}

}  // namespace

void init_robust(pthread_mutex_t* place) {
  pthread_mutexattr_t kind;
  check(pthread_mutexattr_init(&kind), "pthread_mutexattr_init");
  check(pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED),
        "pthread_mutexattr_setpshared");
  check(pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST), "pthread_mutexattr_setrobust");
  check(pthread_mutex_init(place, &kind), "pthread_mutex_init");
  pthread_mutexattr_destroy(&kind);
}

std::uint32_t futex_word(const pthread_mutex_t& mutex) {
  return static_cast<std::uint32_t>(__atomic_load_n(&mutex.__data.__lock, __ATOMIC_ACQUIRE));
}

foreign_locks::foreign_locks(std::size_t count) : count_(count) {
  void* place = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) throw std::bad_alloc();
  mutexes_ = static_cast<pthread_mutex_t*>(place);
  for (std::size_t i = 0; i < count_; ++i) init_robust(&mutexes_[i]);
}

foreign_locks::~foreign_locks() {
  if (!held_) munmap(mutexes_, bytes());
}

void foreign_locks::lock_all() {
  const lock_function lock = unseen("pthread_mutex_lock");
  held_ = true;
  for (std::size_t i = 0; i < count_; ++i)
    check(lock(&mutexes_[i]), "pthread_mutex_lock of a foreign lock");
}

void foreign_locks::unlock_all() {
  const lock_function unlock = unseen("pthread_mutex_unlock");
  for (std::size_t i = count_; i-- > 0;)
    check(unlock(&mutexes_[i]), "pthread_mutex_unlock of a foreign lock");
  held_ = false;
}

std::uint32_t foreign_locks::word(std::size_t index) const {
  return futex_word(mutexes_[index]);
}

std::size_t foreign_locks::marked() const {
  std::size_t found = 0;
  for (std::size_t i = 0; i < count_; ++i) found += (word(i) & FUTEX_OWNER_DIED) != 0;
  return found;
}

std::size_t foreign_locks::owned() const {
  std::size_t found = 0;
  for (std::size_t i = 0; i < count_; ++i) found += (word(i) & FUTEX_TID_MASK) != 0;
  return found;
}

}  // namespace outlive::testing
