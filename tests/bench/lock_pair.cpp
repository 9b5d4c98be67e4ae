// lock_pair KIND COUNT: COUNT times lock and unlock, nothing else. instruction_count_test.py runs
// it under callgrind with two counts: the difference is what the pairs cost, to the instruction.
#include <pthread.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>

#include <outlive/guarded.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

namespace {

// The compiler keeps an empty loop, and does not look into what a pointer names.
template <class Pair>
void repeat(std::size_t count, Pair pair) {
  for (std::size_t i = 0; i < count; ++i) {
    pair();
    asm volatile("" ::: "memory");
  }
}

pthread_mutex_t* raw_mutex() {
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  auto* mutex = ::new (memory) pthread_mutex_t;
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  if (::pthread_mutex_init(mutex, &attributes) != 0) std::abort();
  return mutex;
}

bool run(const std::string& kind, std::size_t count) {
  if (kind == "empty") {
    repeat(count, [] {});
    return true;
  }
  if (kind == "raw") {
    auto* mutex = raw_mutex();
    repeat(count, [mutex] {
      ::pthread_mutex_lock(mutex);
      ::pthread_mutex_unlock(mutex);
    });
    return true;
  }
  auto seg = outlive::segment::anonymous();
  auto& mutex = seg.find_or_construct<outlive::robust_mutex>("mutex", "counted");
  if (kind == "robust_mutex") {
    repeat(count, [&] {
      mutex.lock();
      mutex.unlock();
    });
  } else if (kind == "try_lock") {
    repeat(count, [&] {
      if (mutex.try_lock()) mutex.unlock();
    });
  } else if (kind == "holding_another") {
    seg.find_or_construct<outlive::robust_mutex>("other", "counted").lock();
    repeat(count, [&] {
      mutex.lock();
      mutex.unlock();
    });
  } else if (kind == "guarded") {
    auto& value = seg.find_or_construct<outlive::guarded<long>>("value", "counted value", 0);
    repeat(count, [&] { (void)value.lock(); });
  } else {
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    return run(argv[1], std::strtoull(argv[2], nullptr, 10)) ? 0 : 2;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "lock_pair: %s\n", failure.what());
    return 3;
  }
}
