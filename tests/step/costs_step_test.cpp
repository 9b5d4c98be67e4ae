// What a call costs does not grow with what it does not touch: counted in instructions, beside few
// others and beside many.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include <outlive/outlive.hpp>

#include "mapping/mapping.hpp"
#include "records/participants.hpp"
#include "segment/segment_access.hpp"
#include "step/world.hpp"
#include "support/child.hpp"
#include "support/single_step.hpp"
#include "sys/process.hpp"

using namespace outlive;
using namespace outlive::testing;

namespace {

struct cell {
  std::uint64_t value = 0;
};

// Instructions of the victim's section, run once in a child of each setup.
std::size_t instructions_of(const std::string& name, const std::function<void()>& setup,
                            const std::function<void(agent&)>& victim) {
  sweep_plan plan;
  plan.name = name;
  plan.setup = setup;
  plan.victim = victim;
  plan.after = [](const kill_point&) {};
  plan.last = 0;
  return sweep(plan).length;
}

segment_options roomy() {
  segment_options options = world::small();
  options.size = 512 * 1024;
  options.directory_capacity = 2'048;
  options.participants = 128;
  return options;
}

TEST(costs_step, an_object_beside_freed_blocks_of_another_length) {
  OUTLIVE_NEEDS_TRACING();
  std::unique_ptr<segment> seg;
  // its name takes lines of its own, so that no freed block fits
  const std::string longer(100, 'l');
  const auto cost_beside = [&](std::size_t freed) {
    const auto setup = [&] {
      seg = std::make_unique<segment>(segment::anonymous(roomy()));
      for (std::size_t i = 0; i < 1'000; ++i) seg->find_or_construct<cell>("n" + std::to_string(i));
      for (std::size_t i = 0; i < freed; ++i) seg->destroy<cell>("n" + std::to_string(i));
    };
    return instructions_of("construct beside " + std::to_string(freed), setup, [&](agent&) {
      seg->find_or_construct<cell>("n999");
      seg->find_or_construct<int>("warm");
      section_begin();
      seg->find_or_construct<cell>(longer);
      seg->destroy<cell>(longer);
      section_end();
    });
  };
  EXPECT_LT(cost_beside(900), cost_beside(10) + 500);
}

TEST(costs_step, a_process_that_joins_beside_living_ones) {
  OUTLIVE_NEEDS_TRACING();
  std::unique_ptr<segment> seg;
  const auto cost_beside = [&](std::uint32_t others) {
    const auto setup = [&] {
      seg = std::make_unique<segment>(segment::anonymous(roomy()));
      // As many as are wanted, all of them alive: this process.
      const auto& mapped = *detail::segment_access::mapping_of(*seg);
      const std::uint64_t mine = std::uint64_t{static_cast<std::uint32_t>(getpid())} << 32 |
                                 (detail::start_time_of(getpid()) & 0xffffffff);
      for (std::uint32_t i = 0; i < others; ++i) mapped.participant_at(i).identity.store(mine);
    };
    return instructions_of("join beside " + std::to_string(others), setup, [&](agent&) {
      auto& mapped = *detail::segment_access::mapping_of(*seg);
      section_begin();
      detail::participants::own_index(mapped);
      section_end();
    });
  };
  // A few instructions for each place in the table, but no question to the system: each takes a
  // thousand.
  EXPECT_LT(cost_beside(104), cost_beside(4) + 100 * 100);
}

TEST(costs_step, a_lock_beside_other_segments_of_the_thread) {
  OUTLIVE_NEEDS_TRACING();
  std::vector<segment> all;
  std::vector<robust_mutex*> mutexes;
  const auto cost_beside = [&](std::size_t count) {
    while (all.size() < count) {
      all.push_back(segment::anonymous(world::small()));
      mutexes.push_back(&all.back().find_or_construct<robust_mutex>("mutex", "class"));
    }
    return instructions_of(
        "lock beside " + std::to_string(count), [] {},
        [&](agent&) {
          for (int round = 0; round < 2; ++round) {
            for (robust_mutex* each : mutexes) {
              each->lock();
              each->unlock();
            }
          }
          section_begin();
          for (std::size_t i = 0; i < 2; ++i) {
            mutexes[i]->lock();
            mutexes[i]->unlock();
          }
          section_end();
        });
  };
  const std::size_t beside_few = cost_beside(2);
  EXPECT_LT(cost_beside(200), beside_few + 1'000);  // a walk through so many takes more
}

// As at the first lock of a thread in a segment.
TEST(costs_step, a_look_for_a_mapping_beside_others) {
  OUTLIVE_NEEDS_TRACING();
  std::vector<segment> all;
  std::vector<const void*> bases;
  const auto cost_beside = [&](std::size_t count) {
    while (all.size() < count)
      bases.push_back(all.emplace_back(segment::anonymous(world::small())).base());
    return instructions_of(
        "look beside " + std::to_string(count), [] {},
        [&](agent&) {
          section_begin();
          for (const std::size_t which : {std::size_t{0}, all.size() / 2, all.size() - 1})
            EXPECT_NE(detail::mapping_table::find(bases[which]), nullptr);
          section_end();
        });
  };
  const std::size_t beside_few = cost_beside(2);
  EXPECT_LT(cost_beside(200), beside_few + 500);
}

TEST(costs_step, a_look_at_the_jobs_and_permits_of_one_holder) {
  OUTLIVE_NEEDS_TRACING();
  constexpr std::uint32_t most = 240;
  auto where = segment::anonymous(roomy());
  auto& jobs = where.find_or_construct<work_queue<int, most>>("jobs");
  auto& permits = where.find_or_construct<permit_pool<most>>("permits", most);
  for (std::uint32_t i = 0; i < most; ++i) jobs.push(1);
  const auto cost_beside = [&](std::uint32_t held) {
    child holder("holder", [&](agent& parent) {
      std::vector<lease<int>> leases;
      std::vector<permit> had;
      for (std::uint32_t i = 0; i < held; ++i) {
        leases.push_back(jobs.pop());
        had.push_back(permits.acquire());
      }
      parent.tell("has them");
      parent.pause_forever();
    });
    holder.wait_for("has them");
    const auto cost = instructions_of(
        "look at " + std::to_string(held), [] {},
        [&](agent&) {
          static_cast<void>(jobs.counts());
          section_begin();
          static_cast<void>(jobs.counts());
          static_cast<void>(jobs.pop_dead_letter());
          static_cast<void>(permits.count());
          section_end();
        });
    holder.kill();
    holder.expect_killed();
    return cost;
  };
  // A hundred instructions for each slot and permit, and twice that as a bound. A question to the
  // kernel takes a thousand.
  EXPECT_LT(cost_beside(most), cost_beside(10) + (most - 10) * 3 * 200);
}

}  // namespace
