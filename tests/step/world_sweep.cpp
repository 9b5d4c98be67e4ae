// How the small world runs a sweep: what all victims find, and what is said of it in the end.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "step/world.hpp"
#include "support/child.hpp"

namespace outlive::testing {

namespace {

// 1 in a whole run (tools/test --all); more in a quick one. All states are kill points in both.
std::size_t least_stride() {
  const char* const given = std::getenv("OUTLIVE_STEP_STRIDE");
  return given == nullptr ? 1 : std::max<std::size_t>(std::strtoul(given, nullptr, 10), 1);
}

}  // namespace

sweep_plan world::plan(const std::string& name, std::size_t stride) {
  sweep_plan made;
  made.name = name;
  made.setup = [this] { forget_the_dead(); };
  made.after = [this](const kill_point&) { settle(); };
  const bool every = std::getenv("OUTLIVE_STEP_EVERY") != nullptr;
  made.stride = every ? 1 : std::max(stride, least_stride());
  if (made.stride > 1) {
    made.watched = {{static_cast<const std::byte*>(segment_.base()), segment_.size_bytes()}};
  }
  return made;
}

// The recorded runs must find what all later ones find: what a dead victim leaves, and a parent
// that has been through everything once.
void world::prepare() {
  child first("first victim", [&](agent&) {
    warm_up();
    kill(getpid(), SIGKILL);
  });
  first.expect_killed();
  warm_up();
  shared_->victim.store(0);
  if (repair_) {
    leave_owner_dead_in({0});
    static_cast<void>(lock(0).lock());
    static_cast<void>(recover(segment_));
  }
  forget_the_dead();
  save(start_);
}

void world::save(image& to) const {
  const auto* const base = static_cast<const std::byte*>(segment_.base());
  to = {{base, base + segment_.size_bytes()}, owners_, heirs_};
}

void world::load(const image& from) {
  forget_the_dead();
  owners_ = from.owners;
  heirs_ = from.heirs;
  // The parent's record and its place in the parent's robust list are the same in both.
  std::memcpy(const_cast<void*>(segment_.base()), from.bytes.data(), from.bytes.size());
}

void world::start_over() {
  load(start_);
}

std::function<void()> world::again_from(std::function<void()> make) {
  // then anew, long before the thread ids of the dead come back
  constexpr std::size_t runs = 1'000;
  return [this, make = std::move(make), made = image{}, used = std::size_t{0}]() mutable {
    if (used++ % runs == 0) {
      start_over();
      make();
      save(made);
    }
    load(made);
  };
}

// One death before the recorded runs: what the parent's heap becomes by it decides the ways of
// malloc in all later victims.
void world::rehearse(const sweep_plan& plan) {
  plan.setup();
  child first("rehearsal", plan.victim);
  first.expect_killed(SIGTRAP);  // section_begin() without a tracer
  plan.after({0, true, false, 0});
  tally_ = {};
}

sweep_result world::run(const sweep_plan& plan) {
  prepare();
  rehearse(plan);
  shared_->needless.store(0);
  const sweep_result result = sweep(plan);
  tally_.points = result.deaths + result.preempted;
  print_row(plan, result);
  std::printf("%s: %s\n", plan.name.c_str(), result.describe().c_str());
  EXPECT_GT(tally_.points, 20U) << "too few points to mean anything";
  return result;
}

// docs/protocol.md quotes these rows.
void world::print_row(const sweep_plan& plan, const sweep_result& result) const {
  std::printf("| %s | %zu | %zu | %zu | %u | %zu | %zu | %zu | %zu | %zu | %zu |\n",
              plan.name.c_str(), result.length, tally_.points, tally_.repairs,
              shared_->needless.load(), tally_.stuck, tally_.missed, tally_.not_due, tally_.lost,
              tally_.wrong, tally_.unlawful);
}

}  // namespace outlive::testing
