// The companions beside what pthread and POSIX have: shared mutex and rwlock, notifications and pthread_cond_t, permits and sem_t. All process-shared.
#include <pthread.h>
#include <semaphore.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <outlive/outlive.hpp>

#include "bench/harness.hpp"
#include "bench/peers.hpp"
#include "bench/processes.hpp"

namespace outlive::testing {

namespace {

using pool = permit_pool<8>;

segment segment_with(reader_marks form) {
  segment_options options;
  options.readers = form;
  return segment::anonymous(options);
}

const char* name_of(reader_marks form) {
  return form == reader_marks::locked ? "locked marks" : "plain marks";
}

pthread_rwlock_t* make_rwlock() {
  auto* const made = static_cast<pthread_rwlock_t*>(shared_cells(sizeof(pthread_rwlock_t)));
  pthread_rwlockattr_t attributes;
  ::pthread_rwlockattr_init(&attributes);
  ::pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  require(::pthread_rwlock_init(made, &attributes) == 0, "no process-shared rwlock");
  return made;
}

/// A shared mutex, and the segment that it is in.
struct shared_lock {
  segment where;
  robust_shared_mutex* mutex;
  explicit shared_lock(reader_marks form) : where(segment_with(form)), mutex(&where.find_or_construct<robust_shared_mutex>("mutex", "bench")) {}
};

void read_pairs(robust_shared_mutex& mutex, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    mutex.lock_shared();
    mutex.unlock_shared();
  }
}

void read_pairs(pthread_rwlock_t& lock, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    ::pthread_rwlock_rdlock(&lock);
    ::pthread_rwlock_unlock(&lock);
  }
}

bench_case reading(reader_marks form) {
  return {std::string("shared/read, ") + name_of(form), "pthread_rwlock_t", 1, [form] {
            auto subject = std::make_shared<shared_lock>(form);
            auto* const peer = make_rwlock();
            const operation ours = calibrated([subject](std::size_t count) { read_pairs(*subject->mutex, count); });
            const operation theirs = calibrated([peer](std::size_t count) { read_pairs(*peer, count); });
            return measurement([=](random_source& random) { return measure_pair(ours, theirs, random); });
          }};
}

/// Another process that reads all the time, on another CPU: one lock, the other, or none.
class second_reader {
 public:
  enum what : std::uint32_t { nothing, robust, rwlock };

  second_reader(const shared_lock& subject, pthread_rwlock_t* peer, int cpu) : orders_(::new (shared_cells(sizeof(orders))) orders) {
    child_ = fork_child([this, mutex = subject.mutex, peer, cpu] {
      pin_to(cpu);
      for (;;) {
        const std::uint32_t now = orders_->now.load();
        orders_->done.store(now);
        // Asleep between: the other cases must not have it beside them.
        if (now == nothing) static_cast<void>(next_order(orders_->now, nothing));
        if (now == robust) read_pairs(*mutex, 1'000);
        if (now == rwlock) read_pairs(*peer, 1'000);
      }
    });
  }
  ~second_reader() { kill_and_reap(child_); }
  second_reader(const second_reader&) = delete;
  second_reader& operator=(const second_reader&) = delete;

  void read(what which) {
    set_and_wake(orders_->now, which);
    while (orders_->done.load() != which) {
    }
  }

 private:
  struct orders {
    alignas(64) shared_word now{nothing};
    alignas(64) shared_word done{nothing};
  };
  orders* orders_;
  pid_t child_ = 0;
};

bench_case reading_by_two(reader_marks form, int other_cpu) {
  return {std::string("shared/read while another process reads, ") + name_of(form), "pthread_rwlock_t", 4, [form, other_cpu] {
            auto subject = std::make_shared<shared_lock>(form);
            auto* const peer = make_rwlock();
            auto other = std::make_shared<second_reader>(*subject, peer, other_cpu);
            const auto beside = [other](second_reader::what which, const std::function<void(std::size_t)>& run) {
              return operation{[=](std::size_t count) {
                                 other->read(which);
                                 run(count);
                                 other->read(second_reader::nothing);
                               },
                               20'000};
            };
            const operation ours = beside(second_reader::robust, [subject](std::size_t count) { read_pairs(*subject->mutex, count); });
            const operation theirs = beside(second_reader::rwlock, [peer](std::size_t count) { read_pairs(*peer, count); });
            return measurement([=](random_source& random) { return measure_pair(ours, theirs, random); });
          }};
}

/// Threads that are attached to a segment, and sleep.
class attached_threads {
 public:
  attached_threads(robust_shared_mutex& mutex, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      threads_.emplace_back([&] {
        mutex.lock_shared();
        mutex.unlock_shared();
        ++there_;
        std::unique_lock hold(end_);
      });
    }
    while (there_ != count) std::this_thread::yield();
  }
  ~attached_threads() {
    hold_.unlock();
    for (auto& each : threads_) each.join();
  }

 private:
  std::mutex end_;
  std::unique_lock<std::mutex> hold_{end_};
  std::atomic<unsigned> there_{0};
  std::vector<std::thread> threads_;
};

bench_case writing(reader_marks form) {
  return {std::string("shared/write, 64 threads attached, ") + name_of(form), "raw robust", 1, [form] {
            auto subject = std::make_shared<shared_lock>(form);
            auto others = std::make_shared<attached_threads>(*subject->mutex, 63);
            const operation ours = calibrated([subject, others](std::size_t count) {
              for (std::size_t i = 0; i < count; ++i) {
                subject->mutex->lock();
                subject->mutex->unlock();
              }
            });
            return measurement([=](random_source& random) { return measure_pair(ours, raw_reference(), random); });
          }};
}

bench_case notifying() {
  return {"condition/notify_one, nobody waits", "raw robust", 1, [] {
            segment where = segment::anonymous();
            auto& changed = where.find_or_construct<robust_condition_variable>("changed");
            const operation ours = calibrated([where, &changed](std::size_t count) {
              for (std::size_t i = 0; i < count; ++i) changed.notify_one();
            });
            return measurement([=](random_source& random) { return measure_pair(ours, raw_reference(), random); });
          }};
}

/// Two processes wake each other in turns, by the one kind of condition variable and by the other.
class ping_pong {
 public:
  explicit ping_pong(int other_cpu)
      : where_(segment::anonymous()),
        mutex_(where_.find_or_construct<robust_mutex>("mutex", "bench")),
        changed_(where_.find_or_construct<robust_condition_variable>("changed")),
        peer_(::new (shared_cells(sizeof(peer))) peer) {
    init_raw_mutex(&peer_->mutex, raw_kind::normal);
    pthread_condattr_t attributes;
    ::pthread_condattr_init(&attributes);
    ::pthread_condattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    require(::pthread_cond_init(&peer_->changed, &attributes) == 0, "no process-shared condition variable");
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

  segment where_;
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
            return measurement([=](random_source& random) { return measure_pair(ours, theirs, random); });
          }};
}

bench_case acquiring() {
  return {"permit/acquire, release", "sem_t", 1, [] {
            segment where = segment::anonymous();
            auto& permits = where.find_or_construct<pool>("pool", 4u);
            auto* const peer = static_cast<sem_t*>(shared_cells(sizeof(sem_t)));
            require(::sem_init(peer, 1, 4) == 0, "no process-shared semaphore");
            const operation ours = calibrated([where, &permits](std::size_t count) {
              for (std::size_t i = 0; i < count; ++i) permits.acquire().release();
            });
            const operation theirs = calibrated([peer](std::size_t count) {
              for (std::size_t i = 0; i < count; ++i) {
                ::sem_wait(peer);
                ::sem_post(peer);
              }
            });
            return measurement([=](random_source& random) { return measure_pair(ours, theirs, random); });
          }};
}

}  // namespace

std::vector<bench_case> companion_cases(machine_cpus cpus) {
  return {playing(cpus.other_cpu),
          reading_by_two(reader_marks::automatic, cpus.other_cpu),
          reading_by_two(reader_marks::locked, cpus.other_cpu),
          reading(reader_marks::automatic),
          reading(reader_marks::locked),
          writing(reader_marks::automatic),
          writing(reader_marks::locked),
          notifying(),
          acquiring()};
}

}  // namespace outlive::testing
