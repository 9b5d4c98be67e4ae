#include "bench/harness.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <exception>
#include <numeric>
#include <string>

#include "bench/peers.hpp"

namespace outlive::testing {

namespace {

constexpr double chunk_ns = 40'000;

std::atomic<bool> interrupted{false};

// glibc's ordinary mutexes leave the atomic instructions out while a process has one thread: that
// is not the lock which programs with workers get. The thread is never joined; it ends with the
// process.
void start_sleeping_thread() {
  pthread_t thread{};
  auto sleep_for_ever = [](void*) -> void* {
    for (;;) ::pause();
  };
  require(::pthread_create(&thread, nullptr, sleep_for_ever, nullptr) == 0, "pthread_create");
}

double timed(const operation& work) {
  work.run(work.count / 8 + 1);
  const auto begin = now_ns();
  work.run(work.count);
  return static_cast<double>(now_ns() - begin) / static_cast<double>(work.count);
}

class progress {
 public:
  explicit progress(unsigned rounds) : rounds_(rounds) {}
  ~progress() {
    if (shown_ && terminal_) std::fputs("\r\033[K", stderr);
  }
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  void at(unsigned round, const std::string& name) {
    const auto now = now_ns();
    if (now < next_) return;
    next_ = now + (terminal_ ? 300'000'000u : 10'000'000'000u);
    shown_ = true;
    std::fprintf(stderr, terminal_ ? "\r\033[Kround %u of %u: %s" : "round %u of %u: %s\n",
                 round + 1, rounds_, name.c_str());
  }
  void setting_up(const std::string& name) {
    const auto now = now_ns();
    if (now < next_) return;
    shown_ = true;
    std::fprintf(stderr, terminal_ ? "\r\033[Ksetting up: %s" : "setting up: %s\n", name.c_str());
  }

 private:
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool shown_ = false;
  unsigned rounds_;
  std::uint64_t next_ = now_ns() + 2'000'000'000u;
};

}  // namespace

std::uint64_t now_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

bool was_interrupted() noexcept {
  return interrupted;
}

operation calibrated(std::function<void(std::size_t)> run) {
  run(1);  // a thread's first lock in a segment claims a record: that is not to be measured here
  std::size_t count = 1;
  double taken = 0;
  for (; count < (1u << 24); count *= 2) {
    const auto begin = now_ns();
    run(count);
    taken = static_cast<double>(now_ns() - begin);
    if (taken > chunk_ns / 2) break;
  }
  count = static_cast<std::size_t>(std::max(1.0, static_cast<double>(count) * chunk_ns / taken));
  return {std::move(run), count};
}

sample measure_pair(const operation& subject, const operation& reference, random_source& random) {
  sample result{};
  const bool reference_first = (random() & 1) != 0;
  if (reference_first) result.reference_ns = timed(reference);
  result.subject_ns = timed(subject);
  if (!reference_first) result.reference_ns = timed(reference);
  return result;
}

const operation& raw_reference() {
  static const operation reference = calibrated(raw_pairs{make_raw_mutex(raw_kind::robust)});
  return reference;
}

std::vector<measured_case> run_interleaved(const std::vector<bench_case>& cases,
                                           const run_options& options) {
  struct sigaction on_interrupt {};
  on_interrupt.sa_handler = [](int) { interrupted = true; };
  // a second one ends the process
  on_interrupt.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  ::sigaction(SIGINT, &on_interrupt, nullptr);

  progress shown(options.rounds);
  std::vector<measurement> measure;
  std::vector<measured_case> results;
  for (const auto& one : cases) {
    if (interrupted) return results;
    shown.setting_up(one.name);
    results.push_back({one.name, one.reference, {}, {}});
    measure.emplace_back();
    try {
      measure.back() = one.set_up();
    } catch (const std::exception& failure) {
      results.back().not_measured = failure.what();
    }
  }
  // Only now: the cases that fork have forked.
  start_sleeping_thread();

  random_source random(options.seed);
  std::vector<std::size_t> order(cases.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (unsigned round = 0; round < options.rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (const auto index : order) {
      // Cases that are not measured each round are spread over the rounds, so that the dear ones do
      // not meet in one.
      if ((round + index) % std::min(cases[index].every, options.rounds) != 0) continue;
      if (!measure[index]) continue;
      if (interrupted) return results;
      shown.at(round, cases[index].name);
      results[index].samples.push_back(measure[index](random));
    }
  }
  return results;
}

}  // namespace outlive::testing
