// Condition variable and permits beside pthread_cond_t and sem_t. All process-shared.
#include <pthread.h>
#include <semaphore.h>

#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include <outlive/outlive.hpp>

#include "bench/harness.hpp"
#include "bench/peers.hpp"
#include "bench/processes.hpp"

namespace outlive::testing {

namespace {

using pool = permit_pool<8>;

bench_case notifying() {
  return {"condition/notify_one, nobody waits", "raw robust", 1, [] {
            segment seg = segment::anonymous();
            auto& changed = seg.find_or_construct<robust_condition_variable>("changed");
            const operation ours = calibrated([seg, &changed](std::size_t count) {
              for (std::size_t i = 0; i < count; ++i) changed.notify_one();
            });
            return measurement(
                [=](random_source& random) { return measure_pair(ours, raw_reference(), random); });
          }};
}

/// Two processes wake each other in turns, by the one kind of condition variable and by the other.
class ping_pong {
 public:
  explicit ping_pong(int other_cpu)
      : seg_(segment::anonymous()),
        mutex_(seg_.find_or_construct<robust_mutex>("mutex", "bench")),
        changed_(seg_.find_or_construct<robust_condition_variable>("changed")),
        peer_(::new (shared_cells(sizeof(peer))) peer) {
    init_raw_mutex(&peer_->mutex, raw_kind::normal);
    pthread_condattr_t attributes;
    ::pthread_condattr_init(&attributes);
    ::pthread_condattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    require(::pthread_cond_init(&peer_->changed, &attributes) == 0,
            "no process-shared condition variable");
    other_[0] = fork_child([this, other_cpu] {
      pin_to(other_cpu);
      for (;;) wait_and_pass(1);
    });
    other_[1] = fork_child([this, other_cpu] {
      pin_to(other_cpu);
      for (;;) peer_wait_and_pass(1);
    });
  }
  ~ping_pong() {
    for (const pid_t each : other_) kill_and_reap(each);
  }
  ping_pong(const ping_pong&) = delete;
  ping_pong& operator=(const ping_pong&) = delete;

  // There and back.
  void round() {
    wait_and_pass(0);
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [&] { return peer_->turn == 0; });
  }
  void peer_round() {
    peer_wait_and_pass(0);
    ::pthread_mutex_lock(&peer_->mutex);
    while (peer_->peer_turn != 0) ::pthread_cond_wait(&peer_->changed, &peer_->mutex);
    ::pthread_mutex_unlock(&peer_->mutex);
  }

 private:
  struct peer {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int turn = 0;  // guarded by the robust mutex
    int peer_turn = 0;
  };

  void wait_and_pass(int mine) {
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [&] { return peer_->turn == mine; });
    peer_->turn = 1 - mine;
    hold.unlock();
    changed_.notify_one();
  }
  void peer_wait_and_pass(int mine) {
    ::pthread_mutex_lock(&peer_->mutex);
    while (peer_->peer_turn != mine) ::pthread_cond_wait(&peer_->changed, &peer_->mutex);
    peer_->peer_turn = 1 - mine;
    ::pthread_mutex_unlock(&peer_->mutex);
    ::pthread_cond_signal(&peer_->changed);
  }

  segment seg_;
  robust_mutex& mutex_;
  robust_condition_variable& changed_;
  peer* peer_;
  pid_t other_[2] = {0, 0};
};

bench_case playing(int other_cpu) {
  return {"condition/there and back between two processes", "pthread_cond_t", 4, [other_cpu] {
            auto game = std::make_shared<ping_pong>(other_cpu);
            const operation ours{[game](std::size_t count) {
                                   for (std::size_t i = 0; i < count; ++i) game->round();
                                 },
                                 50};
            const operation theirs{[game](std::size_t count) {
                                     for (std::size_t i = 0; i < count; ++i) game->peer_round();
                                   },
                                   50};
            return measurement(
                [=](random_source& random) { return measure_pair(ours, theirs, random); });
          }};
}

bench_case acquiring() {
  return {"permit/acquire, release", "sem_t", 1, [] {
            segment seg = segment::anonymous();
            auto& permits = seg.find_or_construct<pool>("pool", 4u);
            auto* const peer = static_cast<sem_t*>(shared_cells(sizeof(sem_t)));
            require(::sem_init(peer, 1, 4) == 0, "no process-shared semaphore");
            const operation ours = calibrated([seg, &permits](std::size_t count) {
              for (std::size_t i = 0; i < count; ++i) permits.acquire().release();
            });
            const operation theirs = calibrated([peer](std::size_t count) {
              for (std::size_t i = 0; i < count; ++i) {
                ::sem_wait(peer);
                ::sem_post(peer);
              }
            });
            return measurement(
                [=](random_source& random) { return measure_pair(ours, theirs, random); });
          }};
}

}  // namespace

std::vector<bench_case> companion_cases(machine_cpus cpus) {
  return {playing(cpus.other_cpu), notifying(), acquiring()};
}

}  // namespace outlive::testing
