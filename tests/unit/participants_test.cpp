// Thread records and participants: one for each living thread that locks, given back at its end,
// and a clear word when there is none left.
#include <outlive/note.hpp>
#include <outlive/recover.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "mapping/mapping.hpp"
#include "records/participants.hpp"
#include "segment/segment_access.hpp"
#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

// Threads that have a record, and wait.
class crowd {
 public:
  crowd(robust_mutex& mutex, int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([&] {
        mutex.lock();
        mutex.unlock();
        arrived_.add();
        leave_.wait_equal(1);
      });
    }
    EXPECT_TRUE(arrived_.wait_equal(count));
  }
  ~crowd() { disperse(); }
  void disperse() {
    leave_.store(1);
    for (auto& each : threads_) each.join();
    threads_.clear();
  }

 private:
  shared_value<int> arrived_;
  shared_value<int> leave_;
  std::vector<std::thread> threads_;
};

struct participants_test : ::testing::Test {
  test_name name;
  segment seg = segment::create(name, few_of_everything());
  robust_mutex& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
};

TEST_F(participants_test, a_thread_has_a_record_from_its_first_lock_to_its_end) {
  EXPECT_EQ(seg.threads_in_use(), 0U);
  (void)seg.find<robust_mutex>("mutex");
  EXPECT_EQ(seg.threads_in_use(), 0U);
  elsewhere([&] {
    mutex.lock();
    EXPECT_EQ(seg.threads_in_use(), 1U);
    mutex.unlock();
    EXPECT_EQ(seg.threads_in_use(), 1U);
    mutex.lock();
    mutex.unlock();
    EXPECT_EQ(seg.threads_in_use(), 1U);
  });
  EXPECT_EQ(seg.threads_in_use(), 0U);
}

TEST_F(participants_test, a_note_takes_a_record_too) {
  elsewhere([&] {
    note(seg, 7);
    EXPECT_EQ(seg.threads_in_use(), 1U);
  });
  EXPECT_EQ(seg.threads_in_use(), 0U);
}

TEST_F(participants_test, a_thousand_threads_in_sequence_use_one_record) {
  const auto& header = *static_cast<const detail::segment_header*>(seg.base());
  for (int i = 0; i < 1000; ++i) {
    elsewhere([&] {
      mutex.lock();
      mutex.unlock();
    });
  }
  EXPECT_EQ(seg.threads_in_use(), 0U);
  EXPECT_EQ(header.records_in_use.load(), detail::guarded_count(1));
}

TEST_F(participants_test, more_threads_than_records_are_told_so) {
  crowd both(mutex, 2);
  EXPECT_EQ(seg.threads_in_use(), 2U);
  const auto refused = [&](const std::function<void()>& act) {
    expect_error(errc::too_many_threads,
                 {name.quoted(), "found all 2 thread records in use, 2 by living threads",
                  "expected a free one (segment_options::threads)"},
                 act);
  };
  elsewhere([&] { refused([&] { mutex.lock(); }); });
  elsewhere([&] { refused([&] { (void)mutex.try_lock(); }); });
  elsewhere([&] { refused([&] { note(seg, 1); }); });
  elsewhere([&] { EXPECT_EQ(lock_code(mutex), errc::too_many_threads); });
  // Reading takes no record.
  elsewhere([&] { EXPECT_EQ(seg.find<robust_mutex>("mutex"), &mutex); });
  both.disperse();
  EXPECT_EQ(seg.threads_in_use(), 0U);
  elsewhere([&] { EXPECT_EQ(lock_code(mutex), std::error_code()); });
}

TEST(participants, the_default_is_room_for_256_threads) {
  segment seg = segment::anonymous();
  auto& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  crowd all(mutex, 256);
  EXPECT_EQ(seg.threads_in_use(), 256U);
  elsewhere([&] {
    expect_error(errc::too_many_threads,
                 {"found all 256 thread records in use", "expected a free one"},
                 [&] { mutex.lock(); });
  });
}

// A thread that found no record has looked for dead ones by means of a spare record, of which there
// are two.
TEST_F(participants_test, a_refused_thread_keeps_no_spare_record) {
  crowd both(mutex, 2);
  shared_value<int> refused;
  shared_value<int> leave;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      EXPECT_EQ(lock_code(mutex), errc::too_many_threads);
      refused.add();
      leave.wait_equal(1);
    });
    EXPECT_TRUE(refused.wait_equal(i + 1));
  }
  elsewhere([&] {
    for (int i = 0; i < 3; ++i) EXPECT_NO_THROW((void)recover(seg));
  });
  leave.store(1);
  for (auto& each : threads) each.join();
}

TEST_F(participants_test, a_refused_thread_can_lock_once_a_record_is_free) {
  crowd both(mutex, 2);
  elsewhere([&] {
    EXPECT_EQ(lock_code(mutex), errc::too_many_threads);
    both.disperse();
    EXPECT_EQ(lock_code(mutex), std::error_code());
  });
}

TEST_F(participants_test, threads_that_died_holding_free_their_records_once_repaired) {
  const auto repair = on_owner_death(seg, "class", always_consistent);
  // Far more deaths than records: each newcomer that finds none recovers them.
  for (int i = 0; i < 20; ++i)
    die_holding(seg.find_or_construct<robust_mutex>("m" + std::to_string(i % 8), "class"));
  for (int i = 0; i < 8; ++i)
    elsewhere([&] {
      EXPECT_EQ(lock_code(*seg.find<robust_mutex>("m" + std::to_string(i))), std::error_code());
    });
  EXPECT_EQ(seg.threads_in_use(), 0U);
}

TEST_F(participants_test, unrepaired_mutexes_do_not_keep_newcomers_out) {
  // No repair here: the dead stay named by what they held, until a newcomer needs a record.
  for (int i = 0; i < 4; ++i)
    die_holding(seg.find_or_construct<robust_mutex>("m" + std::to_string(i), "class"));
  elsewhere([&] { EXPECT_EQ(lock_code(mutex), std::error_code()); });
  elsewhere(
      [&] { EXPECT_EQ(lock_code(*seg.find<robust_mutex>("m0")), errc::owner_died_unrepaired); });
}

TEST_F(participants_test, closing_gives_the_callers_record_back) {
  std::optional<segment> again = segment::open(name);
  EXPECT_EQ(lock_code(mutex), std::error_code());
  EXPECT_EQ(seg.threads_in_use(), 1U);
  again.reset();  // not the last handle
  EXPECT_EQ(seg.threads_in_use(), 1U);
  segment other = segment::create(test_name{}, few_of_everything());
  EXPECT_EQ(lock_code(other.find_or_construct<robust_mutex>("mutex", "class")), std::error_code());
}

TEST_F(participants_test, a_lock_in_a_destructor_of_the_thread_works_and_leaves_nothing) {
  struct at_end {
    robust_mutex* mutex = nullptr;
    ~at_end() {
      if (mutex == nullptr) return;
      EXPECT_EQ(lock_code(*mutex), std::error_code());
    }
  };
  for (const bool before : {false, true}) {
    elsewhere([&] {
      static thread_local at_end late;
      late.mutex = &mutex;
      if (before) {
        EXPECT_EQ(lock_code(mutex), std::error_code());
      }
    });
    EXPECT_EQ(seg.threads_in_use(), 0U);
  }
}

// pthread keys are destroyed after thread_local objects, in rounds: a user's may lock after the
// library's own has run.
TEST_F(participants_test, a_lock_in_a_pthread_keys_destructor_works_and_leaves_nothing) {
  static robust_mutex* locked_at_end = nullptr;
  static int rounds = 0;
  static pthread_key_t key;
  locked_at_end = &mutex;
  ASSERT_EQ(::pthread_key_create(&key,
                                 [](void* value) {
                                   EXPECT_EQ(lock_code(*locked_at_end), std::error_code());
                                   if (++rounds < 3) ::pthread_setspecific(key, value);
                                 }),
            0);
  elsewhere([&] {
    EXPECT_EQ(lock_code(mutex), std::error_code());
    ::pthread_setspecific(key, &rounds);
  });
  EXPECT_EQ(rounds, 3);
  EXPECT_EQ(seg.threads_in_use(), 0U);
}

TEST_F(participants_test, a_process_that_comes_again_with_another_name_is_told_by_that) {
  child("process", [&](agent&) {
    const auto command = [&](const char* text) {
      ::prctl(PR_SET_NAME, text);
      const segment mine = segment::open(name);
      detail::mapping& map = *detail::segment_access::mapping_of(mine);
      return std::string(map.participant_at(detail::participants::own_index(map)).command);
    };
    std::optional<segment> inherited(std::move(seg));
    inherited.reset();  // so that opening maps it anew, as after an exec
    EXPECT_EQ(command("before"), "before");
    EXPECT_EQ(command("after"), "after");
  }).expect_exit();
}

TEST_F(participants_test, threads_use_several_segments_at_once) {
  segment other = segment::anonymous(few_of_everything());
  auto& others = other.find_or_construct<robust_mutex>("mutex", "class");
  elsewhere([&] {
    for (int i = 0; i < 100; ++i) {
      mutex.lock();
      others.lock();
      mutex.unlock();
      mutex.lock();
      others.unlock();
      mutex.unlock();
    }
    EXPECT_EQ(seg.threads_in_use(), 1U);
    EXPECT_EQ(other.threads_in_use(), 1U);
  });
  EXPECT_EQ(seg.threads_in_use(), 0U);
  EXPECT_EQ(other.threads_in_use(), 0U);
}

}  // namespace
}  // namespace outlive::testing
