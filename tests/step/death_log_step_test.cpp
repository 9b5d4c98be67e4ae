// A writer of the death log is killed at each store, or stopped there while the ring goes round:
// all that is shown is whole, and no slot is lost. (What several stopped writers do to each other
// is in the model, docs/model/deathlog.pml.)
#include <csignal>

#include <algorithm>
#include <set>

#include "mutex/attach.hpp"
#include "repair/death_log.hpp"
#include "step/world.hpp"

using namespace outlive;
using namespace outlive::testing;

namespace {

constexpr std::uint64_t ring = detail::death_log_capacity;
constexpr std::uint64_t of_victim = 7;

class death_log_step : public ::testing::Test {
 protected:
  // Facts all of whose parts tell the same number: a mixture of two entries shows.
  [[nodiscard]] detail::death_facts facts(std::uint64_t mark) const {
    detail::death_facts all;
    all.map = &map_;
    all.lock = &world_.bytes(0);
    all.owner.thread.known = true;
    all.owner.thread.note = all.owner.thread.start_time = mark;
    all.acquired_at.module = "module";
    all.acquired_at.offset = mark;
    all.attempt = static_cast<unsigned>(mark);
    all.has_crash = true;
    all.crash.signal = SIGSEGV;
    all.crash.address = mark;
    all.crash.frame_count = detail::logged_frames;
    for (std::size_t i = 0; i < detail::logged_frames; ++i) all.crash.frames[i].address = mark;
    return all;
  }

  void log(detail::record_id mine, const detail::death_facts& death) {
    const std::uint64_t number = detail::log_death(map_, death, mine, death_outcome::repairing);
    detail::log_outcome(map_, number, death_outcome::repaired,
                        std::chrono::nanoseconds(death.attempt));
  }

  // The ring goes round once.
  void overtake() {
    const detail::record_id mine = detail::attach(map_.shared_from_this(), detail::no_limit)->id();
    for (std::uint64_t i = 0; i < ring; ++i) log(mine, facts(++mark_));
  }

  static bool is_whole(const logged_death& death) {
    const std::uint64_t mark = death.owner.note;
    const bool ended = death.outcome == death_outcome::repaired &&
                       death.repair_time == std::chrono::nanoseconds(mark);
    const bool begun = death.outcome == death_outcome::repairing &&
                       death.repair_time == std::chrono::nanoseconds(0);
    const auto& frames = death.crash->frames;
    return death.owner.start_time == mark && death.acquired_at_offset == mark &&
           death.attempt == mark && death.crash->address == mark &&
           frames.size() == detail::logged_frames &&
           std::all_of(frames.begin(), frames.end(),
                       [&](const stack_frame& frame) { return frame.address == mark; }) &&
           (ended || (begun && mark == of_victim));
  }

  // What is shown is whole, each entry once, and so many of them are this process's last.
  void expect_shown(std::uint64_t least) {
    std::set<std::uint64_t> marks;
    for (const logged_death& death : detail::read_deaths(map_)) {
      EXPECT_TRUE(is_whole(death)) << "entry " << death.number << " of mark " << death.owner.note;
      EXPECT_TRUE(marks.insert(death.owner.note).second);
    }
    marks.erase(of_victim);
    EXPECT_GE(marks.size(), least);
    if (!marks.empty()) {
      EXPECT_EQ(*marks.rbegin(), mark_);
    }
  }

  sweep_plan plan(const char* name) {
    sweep_plan made;
    made.name = name;
    // Each new state of the bytes, and others now and then.
    made.watched = {{reinterpret_cast<const std::byte*>(map_.base()), map_.layout().objects}};
    made.stride = 499;
    made.setup = [&] { overtake(); };
    made.victim = [&](agent&) {
      const detail::record_id mine =
          detail::attach(map_.shared_from_this(), detail::no_limit)->id();
      const detail::death_facts death = facts(of_victim);
      section_begin();
      log(mine, death);
      section_end();
    };
    return made;
  }

  world world_{1};
  detail::mapping& map_ = world_.mapped();
  std::uint64_t mark_ = 1'000;
};

}  // namespace

TEST_F(death_log_step, killed_at_each_store_loses_no_slot) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan made = plan("log a death");
  made.after = [&](const kill_point&) {
    expect_shown(ring - 1);
    overtake();
    expect_shown(ring);
  };
  const auto result = sweep(made);
  EXPECT_GT(result.deaths, 25u) << result.describe();
}

TEST_F(death_log_step, stopped_at_each_store_while_the_ring_goes_round_mixes_no_entries) {
  OUTLIVE_NEEDS_TRACING();
  sweep_plan made = plan("log a death, stopped while the ring goes round");
  made.meanwhile = [&](const kill_point&) { overtake(); };
  // The victim's slot was passed over, and its number is behind those of the others: the last of
  // them is not what it took.
  made.after = [&](const kill_point&) { expect_shown(ring - 1); };
  const auto result = sweep(made);
  EXPECT_GT(result.preempted, 25u) << result.describe();
}
