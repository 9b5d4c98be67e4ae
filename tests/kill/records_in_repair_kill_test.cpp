// Newcomers while all thread records belong to dead threads whose mutexes are being repaired: who
// tries is refused in time, who waits gets a record once one is free.
#include <outlive/outlive.hpp>

#include <gtest/gtest.h>
#include <pthread.h>

#include <csignal>
#include <memory>
#include <vector>

#include "mapping/mapping.hpp"
#include "records/thread_records.hpp"
#include "scenes/cancellation.hpp"
#include "segment/segment_access.hpp"
#include "support/bounded.hpp"
#include "support/child.hpp"

namespace outlive::testing {
namespace {

using std::chrono::milliseconds;

class records_in_repair_kill_test : public ::testing::Test {
 protected:
  static segment with_records(std::uint32_t count) {
    segment_options options;
    options.threads = count;
    return segment::anonymous(options);
  }
  robust_mutex& mutex(const char* name) {
    return seg_.find_or_construct<robust_mutex>(name, "class");
  }

  void die_holding(const char* name) {
    robust_mutex& held = mutex(name);
    child owner("owner", [&](agent&) {
      held.lock();
      raise(SIGKILL);
    });
    owner.expect_killed();
  }

  /// Both records belong to the dead, and both spare ones to threads that are in repairs.
  void fill() {
    die_holding("one");
    die_holding("two");
    for (int i = 1; i <= 2; ++i) {
      recoverers_.push_back(std::make_unique<child>("recoverer", [&](agent&) {
        free_.lock();
        free_.unlock();
      }));
      ASSERT_TRUE(repairing_.wait_at_least(i));
    }
  }
  void end_repairs() {
    go_on_.store(1);
    for (const auto& each : recoverers_) each->expect_exit(0);
  }

  segment seg_ = with_records(2);
  robust_mutex& free_ = mutex("free");
  shared_value<int> repairing_;
  shared_value<int> go_on_;
  std::vector<std::unique_ptr<child>> recoverers_;
  repair_registration repair_ = on_owner_death(seg_, "class", [this](const owner_death&) {
    repairing_.add();
    go_on_.wait_equal(1);
    return repaired;
  });
};

TEST_F(records_in_repair_kill_test, who_tries_is_refused_without_an_error) {
  auto& shared = seg_.find_or_construct<robust_shared_mutex>("shared", "shared");
  auto& permits = seg_.find_or_construct<permit_pool<4>>("permits", 4u);
  auto& queue = seg_.find_or_construct<work_queue<int, 4>>("queue");
  fill();
  child hurried("hurried", [&](agent&) {
    std::error_code error;
    EXPECT_FALSE(free_.try_lock(error));
    EXPECT_FALSE(error) << error.message();
    EXPECT_FALSE(free_.try_lock_for(milliseconds(10), error));
    EXPECT_FALSE(error) << error.message();
    EXPECT_FALSE(shared.try_lock());
    EXPECT_FALSE(shared.try_lock_shared_for(milliseconds(10)));
    EXPECT_FALSE(permits.try_acquire());
    EXPECT_FALSE(permits.try_acquire_for(milliseconds(10)));
    EXPECT_FALSE(queue.try_push(1));
    EXPECT_FALSE(queue.try_pop());
    EXPECT_FALSE(queue.pop_dead_letter());
  });
  hurried.expect_exit(0);
  EXPECT_EQ(go_on_.load(), 0) << "it was to come back while the repairs were under way";
  end_repairs();
}

TEST_F(records_in_repair_kill_test, who_locks_waits_until_a_record_is_free) {
  fill();
  shared_value<int> done;
  child patient("patient", [&](agent&) {
    free_.lock();
    free_.unlock();
    done.store(1);
  });
  // Longer than the 2 s after which such a thread once gave up.
  EXPECT_FALSE(done.wait_equal(1, milliseconds(2'300)));
  end_repairs();
  EXPECT_TRUE(done.wait_equal(1));
  patient.expect_exit(0);
}

struct cancelled_locker {
  robust_mutex& mutex;
  shared_value<int> entered{};
};

void* locks_once_cancelled(void* argument) {
  auto& in = *static_cast<cancelled_locker*>(argument);
  pthread_cancel(pthread_self());
  in.mutex.lock();
  in.entered.store(1);
  in.mutex.unlock();
  end_if_cancelled();
  ADD_FAILURE() << "not cancelled";
  return nullptr;
}

TEST_F(records_in_repair_kill_test, a_cancellation_does_not_end_a_lock_that_waits_for_a_record) {
  fill();
  shared_value<int> waits;
  child patient("patient", [&](agent&) {
    cancelled_locker in{free_};
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, nullptr, locks_once_cancelled, &in), 0);
    EXPECT_FALSE(in.entered.wait_equal(1, milliseconds(100)));
    waits.store(1);
    void* result = nullptr;
    ASSERT_EQ(pthread_join(thread, &result), 0);
    EXPECT_EQ(result, PTHREAD_CANCELED);
    EXPECT_EQ(in.entered.load(), 1) << "lock() came back without the mutex";
  });
  EXPECT_TRUE(waits.wait_equal(1));
  end_repairs();
  patient.expect_exit(0);
}

TEST_F(records_in_repair_kill_test,
       a_spare_record_that_a_repair_kept_is_given_back_with_the_last_unlock) {
  segment seg = with_records(1);
  auto& held = seg.find_or_construct<robust_mutex>("held", "held");
  auto& kept = seg.find_or_construct<robust_mutex>("kept", "kept");
  child owner("owner", [&](agent&) {
    held.lock();
    raise(SIGKILL);
  });
  owner.expect_killed();
  const auto& bytes = *detail::segment_access::mapping_of(seg);
  const auto has_bearer = [&](std::uint32_t index) {
    return detail::thread_records::is_held(bytes.record(index));
  };
  child keeper("keeper", [&](agent&) {
    const auto repair = on_owner_death(seg, "held", [&](const owner_death&) {
      EXPECT_TRUE(kept.try_lock());
      return repaired;
    });
    held.lock();
    EXPECT_TRUE(has_bearer(1)) << "the thread was to go on with the spare record";
    held.unlock();
    EXPECT_TRUE(has_bearer(1)) << "a mutex is held in its name";
    kept.unlock();
    EXPECT_FALSE(has_bearer(1));
    held.lock();
    EXPECT_TRUE(has_bearer(0));
    EXPECT_FALSE(has_bearer(1));
    held.unlock();
  });
  keeper.expect_exit(0);
}

}  // namespace
}  // namespace outlive::testing
