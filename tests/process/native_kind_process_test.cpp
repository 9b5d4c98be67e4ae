// libc believes the kind of a mutex blindly: one changed bit, and it aborts the process or forgets
// the owner. So each kind is looked at first. Here each of its bits is changed, and a process of
// its own does what may go wrong.
#include <outlive/outlive.hpp>
#include <outlive/segment_view.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "segment/segment_access.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::testing {
namespace {

using namespace std::chrono_literals;

/// Runs it in a child. Returns: how that ended, 0 if without a failed expectation.
int in_a_child(const std::function<void()>& act) {
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(15);
    int code = 70;
    try {
      act();
      code = ::testing::Test::HasFailure() ? 1 : 0;
    } catch (const std::exception& error) {
      std::printf("child: %s\n", error.what());
    }
    std::fflush(nullptr);
    _exit(code);
  }
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

bool was_killed(int status) {
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/// The kind of a native mutex, with one bit changed as long as this lives.
class changed_bit {
 public:
  changed_bit(pthread_mutex_t& mutex, unsigned bit) : mutex_(mutex), bit_(bit) { flip(); }
  changed_bit(const changed_bit&) = delete;
  changed_bit& operator=(const changed_bit&) = delete;
  ~changed_bit() { flip(); }

 private:
  void flip() const {
    constexpr std::size_t kind = 16;  // where glibc has it, on x86-64 and aarch64
    EXPECT_EQ(detail::native_mutex::is_intact(mutex_), intact_);
    reinterpret_cast<unsigned char*>(&mutex_)[kind + bit_ / 8] ^=
        static_cast<unsigned char>(1U << bit_ % 8);
    intact_ = !intact_;
    EXPECT_EQ(detail::native_mutex::is_intact(mutex_), intact_);
  }
  pthread_mutex_t& mutex_;
  unsigned bit_;
  mutable bool intact_ = true;
};

segment_options few_threads() {
  segment_options options;
  options.threads = 4;
  options.participants = 8;
  options.max_held = 8;
  return options;
}

using jobs = work_queue<long, 4>;

class native_kind_process_test : public ::testing::TestWithParam<unsigned> {
 protected:
  template <class Mutex>
  static pthread_mutex_t& native_of(Mutex& mutex) {
    return reinterpret_cast<detail::lock_bytes&>(mutex).native;
  }
  detail::mapping& bytes() { return *detail::segment_access::mapping_of(seg_); }
  template <class Mutex>
  static void expect_damaged(Mutex& mutex, const char* when) {
    std::error_code error;
    mutex.lock(error);
    EXPECT_EQ(error, errc::damaged) << when;
    EXPECT_FALSE(mutex.try_lock(error)) << when;
    EXPECT_EQ(error, errc::damaged) << when;
    EXPECT_FALSE(mutex.try_lock_for(1ms, error)) << when;
    EXPECT_EQ(error, errc::damaged) << when;
    EXPECT_THROW(mutex.lock(), std::system_error) << when;
  }
  template <class Mutex>
  static void expect_works(Mutex& mutex) {
    std::error_code error;
    mutex.lock(error);
    ASSERT_EQ(error, std::error_code());
    mutex.unlock();
  }
  /// The owner dies inside.
  template <class Mutex>
  static void leave_held(Mutex& mutex) {
    EXPECT_TRUE(was_killed(in_a_child([&] {
      mutex.lock();
      raise(SIGKILL);
    })));
  }

  segment seg_ = segment::anonymous(few_threads());
  robust_mutex& warm_ = seg_.find_or_construct<robust_mutex>("warm", "class");
  robust_mutex& mutex_ = seg_.find_or_construct<robust_mutex>("mutex", "class");
  robust_shared_mutex& shared_ =
      seg_.find_or_construct<robust_shared_mutex>("shared", "shared class");
  repair_registration repair_ = on_owner_death(seg_, "class", always_consistent);
  repair_registration shared_repair_ = on_owner_death(seg_, "shared class", always_consistent);
};

TEST_P(native_kind_process_test, of_a_free_mutex) {
  EXPECT_EQ(in_a_child([&] {
              {
                const changed_bit changed(native_of(mutex_), GetParam());
                expect_damaged(mutex_, "at the thread's first lock");
                expect_works(warm_);
                expect_damaged(mutex_, "on the fast path");
              }
              expect_works(mutex_);
            }),
            0);
}

TEST_P(native_kind_process_test, of_a_free_shared_mutex) {
  EXPECT_EQ(in_a_child([&] {
              {
                const changed_bit changed(native_of(shared_), GetParam());
                expect_damaged(shared_, "at the thread's first lock");
                expect_works(warm_);
                expect_damaged(shared_, "on the fast path");
                std::error_code error;
                shared_.lock_shared(error);  // which may not need the native mutex
                if (!error) shared_.unlock_shared();
                EXPECT_TRUE(!error || error == errc::damaged) << error.message();
              }
              expect_works(shared_);
            }),
            0);
}

// It is released, so that no node of the thread's robust list is left in memory that may be
// unmapped, and what the thread has next is not lost.
TEST_P(native_kind_process_test, of_a_mutex_that_is_held) {
  EXPECT_TRUE(was_killed(in_a_child([&] {
    mutex_.lock();
    shared_.lock();
    const changed_bit changed(native_of(mutex_), GetParam());
    const changed_bit changed_too(native_of(shared_), GetParam());
    mutex_.unlock();
    shared_.unlock();
    expect_damaged(mutex_, "after its release");
    expect_damaged(shared_, "after its release");
    EXPECT_EQ(detail::native_mutex::word(native_of(mutex_)), 0U);
    warm_.lock();
    if (!HasFailure()) raise(SIGKILL);
  })));
  EXPECT_EQ(recover(seg_).size(), 1U);
  // The bits stay changed: they are put right here.
  for (pthread_mutex_t* each : {&native_of(mutex_), &native_of(shared_)})
    detail::native_mutex::restore_kind(*each);
  expect_works(mutex_);
  expect_works(shared_);
  expect_works(warm_);
}

TEST_P(native_kind_process_test, of_a_dead_owners_mutex) {
  leave_held(mutex_);
  EXPECT_EQ(in_a_child([&] {
              {
                const changed_bit changed(native_of(mutex_), GetParam());
                expect_damaged(mutex_, "after a death");
                const auto lines = recover(seg_);
                ASSERT_EQ(lines.size(), 1U);
                EXPECT_EQ(lines[0].error, errc::damaged);
                EXPECT_THROW(static_cast<void>(seg_.destroy<robust_mutex>("mutex")),
                             std::system_error);
                EXPECT_NE(segment_view(seg_).problems().size(), 0U);
              }
              expect_works(mutex_);
            }),
            0);
}

TEST_P(native_kind_process_test, of_one_thread_record_another_is_used) {
  auto& queue = seg_.find_or_construct<jobs>("jobs");
  auto& permits = seg_.find_or_construct<permit_pool<2>>("permits", 2U);
  queue.push(7);  // this thread has the first record
  const changed_bit changed(bytes().record(1).liveness, GetParam());
  EXPECT_TRUE(was_killed(in_a_child([&] {
    const permit one = permits.acquire();
    const auto job = queue.pop();
    mutex_.lock();
    raise(SIGKILL);
  })));
  EXPECT_EQ(permits.count(), 2U);
  EXPECT_EQ(recover(seg_).size(), 1U);
  expect_works(mutex_);
  const auto again = queue.try_pop_for(5s);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, 7);
}

TEST_P(native_kind_process_test, of_all_free_thread_records) {
  auto& queue = seg_.find_or_construct<jobs>("jobs");
  auto& permits = seg_.find_or_construct<permit_pool<2>>("permits", 2U);
  queue.push(7);
  for (const bool spares_too : {false, true}) {
    std::vector<std::unique_ptr<changed_bit>> changed;
    const std::uint32_t end = spares_too ? bytes().record_count() : bytes().constants().threads;
    for (std::uint32_t i = 1; i < end; ++i)
      changed.push_back(std::make_unique<changed_bit>(bytes().record(i).liveness, GetParam()));
    EXPECT_EQ(in_a_child([&] {
                const auto code_of = [](const auto& act) {
                  try {
                    act();
                  } catch (const std::system_error& error) {
                    EXPECT_NE(std::string(error.what()).find("liveness mutex was overwritten"),
                              std::string::npos)
                        << error.what();
                    return error.code();
                  }
                  return std::error_code();
                };
                EXPECT_EQ(code_of([&] { mutex_.lock(); }), errc::damaged);
                EXPECT_EQ(code_of([&] { static_cast<void>(queue.pop()); }), errc::damaged);
                EXPECT_EQ(code_of([&] { static_cast<void>(permits.acquire()); }), errc::damaged);
                EXPECT_EQ(code_of([&] { static_cast<void>(recover(seg_)); }),
                          spares_too ? errc::damaged : std::error_code());
              }),
              0)
        << "spares too: " << spares_too;
  }
  EXPECT_EQ(permits.count(), 2U);
  EXPECT_TRUE(queue.try_pop());
}

// Given back as it is, so that nothing of it stays in the thread's robust list.
TEST_P(native_kind_process_test, of_a_thread_record_that_is_held) {
  EXPECT_EQ(
      in_a_child([&] {
        std::thread([&] {
          expect_works(mutex_);
          reinterpret_cast<unsigned char*>(&bytes().record(0).liveness)[16 + GetParam() / 8] ^=
              static_cast<unsigned char>(1U << GetParam() % 8);
          expect_works(mutex_);
        }).join();
        EXPECT_EQ(
            detail::native_mutex::word(bytes().record(0).liveness) & detail::native_mutex::tid_mask,
            0U);
        std::thread([&] { expect_works(mutex_); }).join();
        EXPECT_EQ(bytes().record(1).generation.load(), 1U);
      }),
      0);
}

// An orphan: the kernel did not mark the death.
TEST_P(native_kind_process_test, of_the_adoption_mutex_who_waits_for_an_orphan_is_told) {
  leave_held(mutex_);
  pthread_mutex_t& native = native_of(mutex_);
  const auto dead = bytes().record(0).tid.load();
  ASSERT_NE(dead, 0U);
  std::memcpy(&native, &dead, sizeof dead);
  ASSERT_EQ(detail::native_mutex::word(native), dead);
  EXPECT_EQ(in_a_child([&] {
              pthread_mutex_t& adoption = bytes().header().adoption.native;
              reinterpret_cast<unsigned char*>(&adoption)[16 + GetParam() / 8] ^=
                  static_cast<unsigned char>(1U << GetParam() % 8);
              std::error_code error;
              EXPECT_FALSE(mutex_.try_lock_for(10s, error));
              EXPECT_EQ(error, errc::damaged);
              expect_works(warm_);
            }),
            0);
}

TEST_P(native_kind_process_test, of_the_directorys_and_the_names_mutex) {
  EXPECT_EQ(in_a_child([&] {
              const changed_bit changed(bytes().header().directory.native, GetParam());
              EXPECT_THROW(seg_.find_or_construct<int>("new", 1), std::system_error);
              EXPECT_NE(seg_.find<robust_mutex>("mutex"), nullptr);
            }),
            0);
  EXPECT_EQ(in_a_child([&] {
              const changed_bit changed(bytes().header().names.native, GetParam());
              EXPECT_THROW(seg_.find_or_construct<robust_mutex>("new", "new class"),
                           std::system_error);
            }),
            0);
}

INSTANTIATE_TEST_SUITE_P(each, native_kind_process_test, ::testing::Range(0U, 32U),
                         [](const auto& bit) { return "bit_" + std::to_string(bit.param); });

}  // namespace
}  // namespace outlive::testing
