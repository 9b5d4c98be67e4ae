// Several processes, one lock: nanoseconds from one critical section to the next, whoever has it.
// Under 1 means that more of them got through in the same time than with the raw mutex.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include <ctime>

#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

#include "bench/harness.hpp"
#include "bench/peers.hpp"
#include "bench/processes.hpp"

namespace outlive::testing {

namespace {

constexpr std::uint64_t window_ns = 40'000'000;
constexpr unsigned max_workers = 8;

enum contender : std::uint32_t { raw_lock = 0, outlive_lock = 1 };

// What the workers share. A window begins when `turn` changes and ends when `stop` is set.
struct contest {
  shared_word turn{0};
  shared_word finished{0};
  alignas(64) shared_word stop{0};
  contender kind = raw_lock;
  std::uint64_t spins = 0;  // in the critical section
  struct alignas(64) tally {
    std::uint64_t sections = 0;
  };
  std::array<tally, max_workers> tallies{};
  // Counted under the lock, each by its own, without atomics: it differs from the tallies when
  // exclusion failed.
  struct alignas(64) guarded_count {
    std::uint64_t value = 0;
  };
  std::array<guarded_count, 2> counted{};
  alignas(64) pthread_mutex_t raw;
};

inline void spin(std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) asm volatile("" : "+r"(i));
}

std::uint64_t spins_for(double ns) {
  constexpr std::uint64_t trial = 200'000;
  double best = 1e18;
  for (int i = 0; i < 20; ++i) {
    const auto begin = now_ns();
    spin(trial);
    best = std::min(best, static_cast<double>(now_ns() - begin));
  }
  return static_cast<std::uint64_t>(ns * static_cast<double>(trial) / best);
}

template <class Lock, class Unlock>
void compete(contest& shared, unsigned me, Lock lock, Unlock unlock) {
  auto& count = shared.counted[shared.kind].value;
  const auto spins = shared.spins;
  std::uint64_t sections = 0;
  while (shared.stop.load(std::memory_order_relaxed) == 0) {
    lock();
    count += 1;
    spin(spins);
    unlock();
    ++sections;
  }
  shared.tallies[me].sections = sections;
}

void work(contest& shared, robust_mutex& mutex, unsigned me, unsigned workers) {
  pin_to(nth_cpu(static_cast<int>(me)));
  for (std::uint32_t turn = 0;;) {
    turn = next_order(shared.turn, turn);
    if (shared.kind == raw_lock) {
      compete(
          shared, me, [&] { ::pthread_mutex_lock(&shared.raw); },
          [&] { ::pthread_mutex_unlock(&shared.raw); });
    } else {
      compete(
          shared, me, [&] { mutex.lock(); }, [&] { mutex.unlock(); });
    }
    if (shared.finished.fetch_add(1) + 1 == workers) set_and_wake(shared.finished, workers);
  }
}

class contest_of_processes {
 public:
  contest_of_processes(unsigned workers, double section_ns)
      : workers_(workers),
        segment_(segment::anonymous()),
        mutex_(segment_.find_or_construct<robust_mutex>("contended", "bench")),
        shared_(::new (shared_cells(sizeof(contest))) contest) {
    init_raw_mutex(&shared_->raw, raw_kind::robust);
    shared_->spins = spins_for(section_ns);
    for (unsigned i = 0; i < workers; ++i)
      children_[i] = fork_child([this, i] { work(*shared_, mutex_, i, workers_); });
  }
  ~contest_of_processes() {
    for (unsigned i = 0; i < workers_; ++i) kill_and_reap(children_[i]);
  }
  contest_of_processes(const contest_of_processes&) = delete;
  contest_of_processes& operator=(const contest_of_processes&) = delete;

  double ns_per_section(contender kind) {
    shared_->kind = kind;
    shared_->stop = 0;
    shared_->finished = 0;
    shared_->counted[kind].value = 0;
    const auto begin = now_ns();
    set_and_wake(shared_->turn, shared_->turn + 1);
    const timespec window{0, window_ns};
    ::nanosleep(&window, nullptr);
    shared_->stop = 1;
    const auto length = now_ns() - begin;
    for (std::uint32_t done = shared_->finished; done != workers_; done = shared_->finished)
      wait_while(shared_->finished, done);

    std::uint64_t sections = 0;
    for (unsigned i = 0; i < workers_; ++i) sections += shared_->tallies[i].sections;
    require(sections == shared_->counted[kind].value,
            "two processes were in the critical section at once");
    require(sections > 0, "no process got into the critical section");
    return static_cast<double>(length) / static_cast<double>(sections);
  }

 private:
  unsigned workers_;
  segment segment_;
  robust_mutex& mutex_;
  contest* shared_;
  std::array<pid_t, max_workers> children_{};
};

bench_case contended_case(unsigned workers, unsigned section_ns) {
  return {"contended/" + std::to_string(workers) + " processes, " + std::to_string(section_ns) +
              " ns inside",
          "raw robust", 10, [=] {
            return measurement([contest = std::make_shared<contest_of_processes>(
                                    workers, section_ns)](random_source& random) {
              sample result{};
              const bool reference_first = (random() & 1) != 0;
              if (reference_first) result.reference_ns = contest->ns_per_section(raw_lock);
              result.subject_ns = contest->ns_per_section(outlive_lock);
              if (!reference_first) result.reference_ns = contest->ns_per_section(raw_lock);
              return result;
            });
          }};
}

}  // namespace

std::vector<bench_case> contended_cases() {
  return {contended_case(2, 0), contended_case(2, 500), contended_case(8, 0),
          contended_case(8, 500)};
}

}  // namespace outlive::testing
