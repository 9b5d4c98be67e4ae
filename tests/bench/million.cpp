// A million locks, taken at random: the lines of both kinds are out of the caches, so that what counts is how many
// lines a lock has.
#include <array>
#include <memory>
#include <new>

#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

#include "bench/harness.hpp"
#include "bench/peers.hpp"

namespace outlive::testing {

namespace {

constexpr std::size_t locks = 1'000'000;
constexpr std::size_t picks = 2'000;  // in one sample: more lines than the first cache has, few enough for its turn

struct alignas(64) raw_cell {
  pthread_mutex_t mutex;
};

// One object of the segment; a million names are the matter of another case.
struct mutex_array {
  mutex_array() {
    for (std::size_t i = 0; i < locks; ++i)
      ::new (at(i)) robust_mutex("bench");
  }
  robust_mutex* at(std::size_t index) { return reinterpret_cast<robust_mutex*>(bytes.data()) + index; }
  alignas(64) std::array<unsigned char, locks * sizeof(robust_mutex)> bytes;
};

raw_cell* make_raw_cells() {
  auto* cells = static_cast<raw_cell*>(shared_cells(locks * sizeof(raw_cell)));
  for (std::size_t i = 0; i < locks; ++i)
    init_raw_mutex(&(::new (cells + i) raw_cell)->mutex, raw_kind::robust);
  return cells;
}

// A generator of its own for each kind, from another seed: the second kind must not find lines which the first has
// fetched (they are not the same lines, but their page tables and prefetchers would learn the sequence).
class random_index {
 public:
  explicit random_index(std::uint64_t seed) : state_(seed | 1) {}
  std::size_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>((state_ >> 32) * locks >> 32);
  }

 private:
  std::uint64_t state_;
};

measurement set_up() {
  auto where = segment::anonymous({.size = sizeof(mutex_array) + (1u << 20)});
  auto* mutexes = &where.find_or_construct<mutex_array>("locks");
  auto* cells = make_raw_cells();
  // `where` is kept by the closure: the mutexes are in it.
  return [where, mutexes, cells](random_source& random) {
    const operation subject{[mutexes, index = random_index(random())](std::size_t count) mutable {
                              for (std::size_t i = 0; i < count; ++i) {
                                auto* mutex = mutexes->at(index.next());
                                mutex->lock();
                                mutex->unlock();
                              }
                            },
                            picks};
    const operation reference{[cells, index = random_index(random())](std::size_t count) mutable {
                                for (std::size_t i = 0; i < count; ++i) {
                                  auto* mutex = &cells[index.next()].mutex;
                                  ::pthread_mutex_lock(mutex);
                                  ::pthread_mutex_unlock(mutex);
                                }
                              },
                              picks};
    return measure_pair(subject, reference, random);
  };
}

}  // namespace

std::vector<bench_case> million_cases() {
  return {{"million/robust_mutex at random", "raw robust, 64-byte cells", 1, set_up}};
}

}  // namespace outlive::testing
