#include "step/world.hpp"

#include <unistd.h>

#include <cstdio>
#include <string>

#include "segment/thread_records.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::testing {

namespace {

constexpr std::chrono::seconds patience(10);

const detail::lock_bytes& bytes_of(const guarded_twins& lock) noexcept {
  return reinterpret_cast<const detail::lock_bytes&>(lock.mutex());
}

}  // namespace

segment_options world::small() {
  segment_options options;
  options.size = 64 * 1024;
  options.directory_capacity = 64;
  options.threads = 4;
  options.participants = 8;
  options.max_held = 8;
  options.attempts = 3;
  return options;
}

world::world(std::size_t locks, const segment_options& options) : segment_(segment::anonymous(options)) {
  for (std::size_t i = 0; i < locks; ++i) {
    locks_.push_back(&segment_.find_or_construct<guarded_twins>("twins " + std::to_string(i), "twins"));
  }
}

world::~world() = default;

detail::lock_state world::state(std::size_t index) const noexcept {
  return detail::lock_state(bytes_of(*locks_[index]).state.load());
}

std::uint32_t world::native_word(std::size_t index) const noexcept {
  return detail::native_mutex::word(bytes_of(*locks_[index]).native);
}

void world::i_am_the_victim() noexcept {
  victim_->store(getpid());
}

void world::register_repair() {
  repair_ = on_owner_death<twins>(segment_, "twins", [this](twins& value, const owner_death& death) {
    sightings& seen = *seen_;
    seen.repairs.fetch_add(1);
    seen.owner_tid.store(death.owner().known ? death.owner().tid : -1);
    seen.former_heir_tid.store(death.former_heir() == nullptr ? 0 : death.former_heir()->tid);
    seen.attempt.store(death.attempt());
    if (value.a == value.b) ++tally_.needless;
    value.b = value.a;
    return repaired;
  });
}

void world::inherit(std::size_t index, const kill_point& point) {
  SCOPED_TRACE(point.describe() + ", mutex " + std::to_string(index));
  const detail::lock_state found = state(index);
  const bool due = found.word() != detail::free_consistent;
  seen().owner_tid.store(0);
  const std::uint32_t before = seen().repairs.load();
  {
    auto hold = lock(index).try_lock_for(patience);
    ASSERT_TRUE(hold) << "stuck: state " << found.word() << ", native word " << native_word(index);
    EXPECT_EQ(hold->a, hold->b);
    EXPECT_EQ(hold.recovered(), due);
  }
  EXPECT_EQ(seen().repairs.load() - before, due ? 1U : 0U) << "state at death " << found.word();
  if (due && point.died) {
    EXPECT_EQ(seen().owner_tid.load(), victim()) << "the dead owner's name";
  }
  EXPECT_EQ(state(index).word(), detail::free_consistent);
  tally_.repairs += due ? 1 : 0;
}

void world::expect_records_free(std::uint32_t living, const kill_point& point) {
  EXPECT_EQ(segment_.threads_in_use(), living) << "a record is lost at " << point.describe();
  ++tally_.points;
}

void world::report(const char* scenario, const sweep_result& result) const {
  std::printf("%s: %zu kill points, %zu repairs, %zu of them of consistent data (%s)\n", scenario, result.deaths, tally_.repairs,
              tally_.needless, result.describe().c_str());
}

}  // namespace outlive::testing
