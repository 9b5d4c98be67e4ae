// The companions by the kit: each store of the shared mutex, of permits and of the condition
// variable.
#include <outlive/killtest/gtest.hpp>

#include <stop_token>

#include <outlive/outlive.hpp>

#include "killtest/inside.hpp"

namespace outlive::killtest::testing {
namespace {

struct twins {
  long a = 0;
  long b = 0;
};
using shared_twins = guarded<twins, robust_shared_mutex>;

scenario of_shared_mutex(std::string name, reader_marks form, void (*victim)(shared_twins&)) {
  scenario made;
  made.name = std::move(name) + (form == reader_marks::locked ? ", locked marks" : ", plain marks");
  made.options.readers = form;
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<shared_twins>("twins", "twins"));
  };
  made.repairs = [](segment& seg) {
    return all_of(
        on_owner_death<twins, robust_shared_mutex>(seg, "twins", [](twins& x, const owner_death&) {
          x.b = x.a;
          return repaired;
        }));
  };
  made.victim = [=](segment& seg) { victim(*seg.find<shared_twins>("twins")); };
  // Both ways in are free, and the value is whole; a reader comes first, so that it may be the
  // heir.
  made.before_recovery = no_alarm;
  made.invariant = [](segment& seg) {
    auto& value = *seg.find<shared_twins>("twins");
    {
      const auto x = value.lock_shared();
      if (x->a != x->b) return std::string("a reader sees half a change");
    }
    const auto x = value.lock();
    return x->a == x->b ? std::string() : std::string("half a change");
  };
  return made;
}

void write(shared_twins& value) {
  auto x = value.lock();
  x->a += 1;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  x->b += 1;
}

class companions : public ::testing::TestWithParam<reader_marks> {};

TEST_P(companions, a_shared_mutex_is_written) {
  EXPECT_SURVIVES_KILLS(of_shared_mutex("lock, unlock", GetParam(), &write), inside());
}

TEST_P(companions, a_shared_mutex_is_read) {
  EXPECT_SURVIVES_KILLS(of_shared_mutex("lock_shared twice, unlock_shared twice", GetParam(),
                                        [](shared_twins& value) {
                                          const auto x = value.lock_shared();
                                          const auto y = value.lock_shared();
                                        }),
                        inside());
}

TEST_P(companions, a_shared_mutex_is_read_and_written_in_turns) {
  EXPECT_SURVIVES_KILLS(of_shared_mutex("read, write, read, try to write", GetParam(),
                                        [](shared_twins& value) {
                                          static_cast<void>(value.lock_shared());
                                          write(value);
                                          static_cast<void>(value.lock_shared());
                                          if (auto x = value.try_lock()) ++x->a, ++x->b;
                                        }),
                        inside());
}

INSTANTIATE_TEST_SUITE_P(form, companions,
                         ::testing::Values(reader_marks::automatic, reader_marks::locked),
                         [](const auto& form) {
                           return form.param == reader_marks::locked ? "locked" : "automatic";
                         });

using pool = permit_pool<8>;

TEST(permits, are_neither_lost_nor_doubled) {
  scenario made;
  made.name = "acquire, release";
  made.make = [](segment& seg) { static_cast<void>(seg.find_or_construct<pool>("pool", 2u)); };
  made.victim = [](segment& seg) {
    auto& permits = *seg.find<pool>("pool");
    permit one = permits.acquire();
    const permit two = permits.acquire();
    one.release();
  };
  made.before_recovery = no_alarm;
  made.invariant = [](segment& seg) {
    auto& permits = *seg.find<pool>("pool");
    const permit one = permits.try_acquire();
    const permit two = permits.try_acquire();
    if (!one || !two) return std::string("a permit is lost");
    return permits.try_acquire() ? std::string("a permit is doubled") : std::string();
  };
  EXPECT_SURVIVES_KILLS(made, inside());
}

struct mailbox {
  bool full = false;
};

TEST(condition_variable, is_waited_on_and_notified) {
  scenario made;
  made.name = "wait_for, notify_one, notify_all";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<mailbox>>("box", "mailbox"));
    static_cast<void>(seg.find_or_construct<robust_condition_variable>("changed"));
  };
  made.repairs = [](segment& seg) {
    return all_of(on_owner_death<mailbox>(seg, "mailbox", always_consistent));
  };
  made.victim = [](segment& seg) {
    auto& box = *seg.find<guarded<mailbox>>("box");
    auto& changed = *seg.find<robust_condition_variable>("changed");
    auto x = box.lock();
    // Stopped already, it marks the word and does not sleep: how often it would is no matter of
    // stores. waits_step_test kills sleepers.
    std::stop_source stop;
    stop.request_stop();
    static_cast<void>(changed.wait(x, stop.get_token(), [&] { return x->full; }));
    x->full = true;
    x.unlock();
    changed.notify_one();
    changed.notify_all();
  };
  made.before_recovery = no_alarm;
  made.invariant = [](segment& seg) {
    auto& box = *seg.find<guarded<mailbox>>("box");
    auto& changed = *seg.find<robust_condition_variable>("changed");
    auto x = box.lock();
    x->full = true;
    x.unlock();
    changed.notify_one();
    x.lock();
    return changed.wait_for(x, std::chrono::seconds(10), [&] { return x->full; })
               ? std::string()
               : std::string("the box is full, and the wait does not end");
  };
  EXPECT_SURVIVES_KILLS(made, inside());
}

}  // namespace
}  // namespace outlive::killtest::testing
