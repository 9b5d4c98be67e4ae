#include "sys/thread_exit.hpp"

#include <pthread.h>

#include <system_error>

#include "sys/at_load.hpp"

namespace outlive::detail {

namespace {

extern "C" void run_action(void* action) {
  reinterpret_cast<void (*)()>(action)();
}

pthread_key_t exit_key() {
  static const pthread_key_t key = [] {
    pthread_key_t made{};
    const int rc = pthread_key_create(&made, &run_action);
    if (rc != 0) throw std::system_error(rc, std::generic_category(), "pthread_key_create");
    return made;
  }();
  return key;
}

const made_at_load key_at_load([] { exit_key(); });

}  // namespace

void at_thread_exit(void (*action)()) {
  const int rc = pthread_setspecific(exit_key(), reinterpret_cast<const void*>(action));
  if (rc != 0) throw std::system_error(rc, std::generic_category(), "pthread_setspecific");
}

}  // namespace outlive::detail
