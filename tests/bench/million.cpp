// A million locks, taken at random: the lines of both kinds are out of the caches, so that what
// counts is how many lines a lock has.
#include <array>
#include <memory>
#include <new>
#include <string>

#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

#include "bench/harness.hpp"
#include "bench/peers.hpp"

namespace outlive::testing {

namespace {

constexpr std::size_t locks = 1'000'000;
// in one sample: more lines than the first cache has, few enough for its turn
constexpr std::size_t picks = 2'000;

struct alignas(64) raw_cell {
  pthread_mutex_t mutex;
};

// One object of the segment; a million names are the matter of another case.
struct mutex_array {
  mutex_array() {
    for (std::size_t i = 0; i < locks; ++i) ::new (at(i)) robust_mutex("bench");
  }
  robust_mutex* at(std::size_t index) {
    return reinterpret_cast<robust_mutex*>(bytes.data()) + index;
  }
  alignas(64) std::array<unsigned char, locks * sizeof(robust_mutex)> bytes;
};

raw_cell* make_raw_cells() {
  auto* cells = static_cast<raw_cell*>(shared_cells(locks * sizeof(raw_cell)));
  for (std::size_t i = 0; i < locks; ++i)
    init_raw_mutex(&(::new (cells + i) raw_cell)->mutex, raw_kind::robust);
  return cells;
}

// A generator of its own for each kind, from another seed: the second kind must not find lines
// which the first has fetched (they are not the same lines, but their page tables and prefetchers
// would learn the sequence).
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

// The next lock's number. `guarded` is a word in the last lock's line, and 0; the compiler does not
// know that.
template <bool dependent>
std::size_t pick(random_index& index, std::uint64_t guarded) {
  if constexpr (dependent) {
    asm volatile("and $0, %0" : "+r"(guarded));
    return index.next() + guarded;
  }
  return index.next();
}

template <bool dependent>
struct mutex_walk {
  mutex_array* mutexes;
  random_index index;
  std::uint64_t guarded = 0;
  void operator()(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto* mutex = mutexes->at(pick<dependent>(index, guarded));
      mutex->lock();
      if constexpr (dependent) guarded = *reinterpret_cast<volatile std::uint64_t*>(mutex);
      mutex->unlock();
    }
  }
};

template <bool dependent>
struct raw_walk {
  raw_cell* cells;
  random_index index;
  std::uint64_t guarded = 0;
  void operator()(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto* mutex = &cells[pick<dependent>(index, guarded)].mutex;
      ::pthread_mutex_lock(mutex);
      if constexpr (dependent) guarded = *reinterpret_cast<volatile std::uint64_t*>(mutex);
      ::pthread_mutex_unlock(mutex);
    }
  }
};

// Both cases use the same locks.
struct million_locks {
  segment seg = segment::anonymous({.size = sizeof(mutex_array) + (1u << 20)});
  mutex_array* mutexes = &seg.find_or_construct<mutex_array>("locks");
  raw_cell* cells = make_raw_cells();
};
std::shared_ptr<million_locks> both_kinds() {
  static std::weak_ptr<million_locks> made;
  auto found = made.lock();
  if (!found) made = found = std::make_shared<million_locks>();
  return found;
}

template <bool dependent>
bench_case million_case(const std::string& name) {
  return {"million/" + name, "raw robust, 64-byte cells", 1, [] {
            return measurement([both = both_kinds()](random_source& random) {
              const operation subject{mutex_walk<dependent>{both->mutexes, random_index(random())},
                                      picks};
              const operation reference{raw_walk<dependent>{both->cells, random_index(random())},
                                        picks};
              return measure_pair(subject, reference, random);
            });
          }};
}

}  // namespace

std::vector<bench_case> million_cases() {
  return {million_case<false>("robust_mutex at random"),
          million_case<true>("the same, each pick hangs on the last lock")};
}

}  // namespace outlive::testing
