// The shared mutex beside pthread's rwlock: readers alone and with another process that reads, and
// a writer among 64 threads. All process-shared.
#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <outlive/robust_shared_mutex.hpp>
#include <outlive/segment.hpp>

#include "bench/harness.hpp"
#include "bench/peers.hpp"
#include "bench/processes.hpp"

namespace outlive::testing {

namespace {

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
  segment seg;
  robust_shared_mutex* mutex;
  explicit shared_lock(reader_marks form)
      : seg(segment_with(form)),
        mutex(&seg.find_or_construct<robust_shared_mutex>("mutex", "bench")) {}
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
            const operation ours =
                calibrated([subject](std::size_t count) { read_pairs(*subject->mutex, count); });
            const operation theirs =
                calibrated([peer](std::size_t count) { read_pairs(*peer, count); });
            return measurement(
                [=](random_source& random) { return measure_pair(ours, theirs, random); });
          }};
}

/// Another process that reads all the time, on another CPU: one lock, the other, or none.
class second_reader {
 public:
  enum what : std::uint32_t { nothing, robust, rwlock };

  second_reader(const shared_lock& subject, pthread_rwlock_t* peer, int cpu)
      : orders_(::new (shared_cells(sizeof(orders))) orders) {
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
  return {std::string("shared/read while another process reads, ") + name_of(form),
          "pthread_rwlock_t", 4, [form, other_cpu] {
            auto subject = std::make_shared<shared_lock>(form);
            auto* const peer = make_rwlock();
            auto other = std::make_shared<second_reader>(*subject, peer, other_cpu);
            const auto beside = [other](second_reader::what which,
                                        const std::function<void(std::size_t)>& run) {
              return operation{[=](std::size_t count) {
                                 other->read(which);
                                 run(count);
                                 other->read(second_reader::nothing);
                               },
                               20'000};
            };
            const operation ours = beside(second_reader::robust, [subject](std::size_t count) {
              read_pairs(*subject->mutex, count);
            });
            const operation theirs = beside(
                second_reader::rwlock, [peer](std::size_t count) { read_pairs(*peer, count); });
            return measurement(
                [=](random_source& random) { return measure_pair(ours, theirs, random); });
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
  return {std::string("shared/write, 64 threads attached, ") + name_of(form), "raw robust", 1,
          [form] {
            auto subject = std::make_shared<shared_lock>(form);
            auto others = std::make_shared<attached_threads>(*subject->mutex, 63);
            const operation ours = calibrated([subject, others](std::size_t count) {
              for (std::size_t i = 0; i < count; ++i) {
                subject->mutex->lock();
                subject->mutex->unlock();
              }
            });
            return measurement(
                [=](random_source& random) { return measure_pair(ours, raw_reference(), random); });
          }};
}

}  // namespace

std::vector<bench_case> shared_cases(machine_cpus cpus) {
  return {reading_by_two(reader_marks::automatic, cpus.other_cpu),
          reading_by_two(reader_marks::locked, cpus.other_cpu),
          reading(reader_marks::automatic),
          reading(reader_marks::locked),
          writing(reader_marks::automatic),
          writing(reader_marks::locked)};
}

}  // namespace outlive::testing
