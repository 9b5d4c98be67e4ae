#include "sys/fork_epoch.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>

#include "sys/at_load.hpp"

namespace outlive::detail {

namespace {

constexpr std::size_t chunk_bytes = 64 * 1024;

std::byte* map_wiped_chunk() {
  void* const memory =
      mmap(nullptr, chunk_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  if (madvise(memory, chunk_bytes, MADV_WIPEONFORK) != 0) {
    const int error = errno;
    munmap(memory, chunk_bytes);
    throw std::system_error(error, std::generic_category(),
                            "MADV_WIPEONFORK (Linux 4.14 or newer)");
  }
  return static_cast<std::byte*>(memory);
}

struct freed_line {
  freed_line* next;
};

// Guarded by `mutex`. Held over a fork, so that the child's copy is usable.
struct arena {
  std::mutex mutex;
  std::byte* next = nullptr;
  std::size_t left = 0;
  // in a child the links are wiped: the list ends at its first line, and the others are lost
  freed_line* freed = nullptr;
};

arena& the_arena() {
  static arena& instance = []() -> arena& {
    // never destroyed: threads may end after static destruction
    auto made = std::make_unique<arena>();
    around_fork([] { the_arena().mutex.lock(); }, [] { the_arena().mutex.unlock(); });
    return *made.release();
  }();
  return instance;
}

}  // namespace

void* allocate_wiped_on_fork() {
  arena& from = the_arena();
  const std::lock_guard hold(from.mutex);
  if (from.freed != nullptr) {
    freed_line* const line = from.freed;
    from.freed = line->next;
    line->next = nullptr;
    return line;
  }
  if (from.left == 0) {
    from.next = map_wiped_chunk();
    from.left = chunk_bytes;
  }
  void* const memory = from.next;
  from.next += wiped_line_bytes;
  from.left -= wiped_line_bytes;
  return memory;
}

void free_wiped_on_fork(void* line) noexcept {
  arena& to = the_arena();
  const std::lock_guard hold(to.mutex);
  std::memset(line, 0, wiped_line_bytes);
  to.freed = ::new (line) freed_line{to.freed};
}

namespace {

std::atomic<std::uint64_t>& epoch_word() {
  static auto* const word = static_cast<std::atomic<std::uint64_t>*>(allocate_wiped_on_fork());
  return *word;
}

const made_at_load word_and_arena([] { epoch_word(); });

}  // namespace

void prepare_process_epoch() {
  epoch_word();
}

std::uint64_t process_epoch() noexcept {
  // counts over forks, so that no descendant repeats an epoch
  static std::atomic<std::uint64_t> epochs{0};
  std::atomic<std::uint64_t>* const mine = &epoch_word();
  // Acquire: pairs with the exchange below, in another thread.
  std::uint64_t epoch = mine->load(std::memory_order_acquire);
  if (epoch != 0) return epoch;
  const std::uint64_t made = epochs.fetch_add(1, std::memory_order_acq_rel) + 1;
  return mine->compare_exchange_strong(epoch, made, std::memory_order_acq_rel) ? made : epoch;
}

void around_fork(void (*prepare)(), void (*release)()) {
  const int rc = pthread_atfork(prepare, release, release);
  if (rc != 0) throw std::system_error(rc, std::generic_category(), "pthread_atfork");
}

}  // namespace outlive::detail
