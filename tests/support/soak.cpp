#include "support/soak.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <sstream>
#include <vector>

namespace outlive::testing {
namespace {

std::uint64_t choose_seed(std::uint64_t wanted) {
  if (wanted != 0) return wanted;
  if (const char* text = std::getenv("OUTLIVE_SOAK_SEED")) return std::strtoull(text, nullptr, 10);
  std::random_device source;
  return (std::uint64_t{source()} << 32) | source();
}

class driver {
 public:
  explicit driver(const soak_plan& plan)
      : plan_(plan), workers_(plan.workers), lives_(plan.workers, 0) {
    result_.seed = choose_seed(plan.seed);
    random_.seed(result_.seed);
    std::printf("soak seed: OUTLIVE_SOAK_SEED=%llu\n",
                static_cast<unsigned long long>(result_.seed));
  }

  soak_result run() {
    const auto began = std::chrono::steady_clock::now();
    const deadline end(plan_.duration);
    for (unsigned i = 0; i < plan_.workers; ++i) spawn(i);
    bool healthy = true;
    while (healthy && !end.passed() && result_.kills < plan_.max_kills) {
      pause_at_random();
      const unsigned index = static_cast<unsigned>(random_() % plan_.workers);
      healthy = all_alive() && goes_on() && kill_one(index);
    }
    stop_.store(1);
    for (const auto& worker : workers_) {
      if (worker) worker->expect_exit(0);
    }
    result_.elapsed =
        std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
    if (result_.kills == 0) ADD_FAILURE() << "a soak that killed nobody";
    return result_;
  }

 private:
  void spawn(unsigned index) {
    const std::uint64_t life = lives_[index]++;
    const std::uint64_t seed = random_();
    workers_[index].reset();
    workers_[index] =
        std::make_unique<child>("worker " + std::to_string(index), [=, this](agent& parent) {
          plan_.work(soak_worker{index, life, seed, parent, stop_});
        });
  }

  void pause_at_random() {
    const auto span = std::chrono::nanoseconds(plan_.longest_pause);
    if (span.count() <= 0) return;
    const auto nanoseconds =
        static_cast<long>(random_() % static_cast<std::uint64_t>(span.count()));
    const timespec pause{nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
    nanosleep(&pause, nullptr);
  }

  bool all_alive() {
    for (auto& worker : workers_) {
      if (worker->ended()) return report_end(worker);
    }
    return true;
  }

  bool goes_on() {
    if (!plan_.progress) return true;
    if (!within(default_timeout(), [&] { return plan_.progress() != seen_; })) {
      ADD_FAILURE() << "after " << result_.kills << " kills nobody goes on"
                    << (plan_.standing ? ": " + plan_.standing() : std::string());
      return false;
    }
    seen_ = plan_.progress();
    return true;
  }

  static bool report_end(std::unique_ptr<child>& worker) {
    ADD_FAILURE() << worker->name() << " ended by itself: " << worker->wait().describe();
    worker.reset();
    return false;
  }

  /// Waits for a moment that `aim` accepts, without pauses, because such moments are short.
  void take_aim(unsigned index) {
    const deadline end(plan_.aim_limit);
    while (!plan_.aim(index)) {
      if (end.passed() || workers_[index]->ended()) {
        ++result_.missed;
        return;
      }
      if (++looks_ % 256 == 0) sched_yield();
    }
    ++result_.aimed;
  }

  bool kill_one(unsigned index) {
    const std::uniform_real_distribution<double> share(0.0, 1.0);
    if (plan_.aim && draw(share) < plan_.aimed_share) take_aim(index);
    child& victim = *workers_[index];
    const pid_t pid = victim.pid();
    if (plan_.before_kill) plan_.before_kill(index, pid);
    victim.kill();
    if (!victim.wait().killed_by(SIGKILL)) return report_end(workers_[index]);
    ++result_.kills;
    if (plan_.after_kill) plan_.after_kill(index, pid);
    spawn(index);
    return true;
  }

  double draw(std::uniform_real_distribution<double> from) { return from(random_); }

  const soak_plan& plan_;
  std::mt19937_64 random_;
  shared_value<std::uint32_t> stop_;
  std::vector<std::unique_ptr<child>> workers_;
  std::vector<std::uint64_t> lives_;
  std::uint64_t looks_ = 0;
  std::uint64_t seen_ = 0;  // of plan_.progress
  soak_result result_;
};

}  // namespace

std::string soak_result::describe() const {
  std::ostringstream out;
  out << kills << " kills in " << elapsed.count() << " ms (" << aimed << " aimed, " << missed
      << " aims missed), seed " << seed;
  return out.str();
}

soak_result soak(const soak_plan& plan) {
  return driver(plan).run();
}

}  // namespace outlive::testing
