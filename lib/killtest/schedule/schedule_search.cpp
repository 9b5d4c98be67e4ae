#include "killtest/schedule/schedule_search.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace outlive::killtest::detail {

namespace {

constexpr std::uint32_t word_bytes = 8;

constexpr bool is_plain(point_kind kind) noexcept {
  return kind == point_kind::load || kind == point_kind::store;
}

struct words_of {
  explicit words_of(const logged_point& at) noexcept
      : first(at.offset / word_bytes),
        last((at.offset + std::max<std::uint32_t>(at.size, 1) - 1) / word_bytes) {}
  std::uint32_t first;
  std::uint32_t last;
};

// A run of one thread that went on after it had woken somebody is one step.
bool continues(const run_slice& slice) noexcept {
  return !slice.is_chosen;
}

// The steps that make these slices happen again.
schedule steps_of(std::span<const run_slice> slices) {
  schedule made;
  for (const run_slice& each : slices) {
    if (continues(each) && !made.empty()) made.pop_back();
    schedule_step step{each.thread, each.end == stop_reason::dies, to_its_end};
    const bool stops_there = each.end == stop_reason::paused || each.end == stop_reason::dies;
    if (stops_there) step.until = each.until;
    made.push_back(step);
  }
  return made;
}

}  // namespace

schedule_search::schedule_search(const concurrent_scenario& what, const interleave_options& how,
                                 std::size_t segment_bytes)
    : what_(what), how_(how), words_(segment_bytes / word_bytes + 8), random_(how.seed) {
  add({});
}

std::optional<planned_schedule> schedule_search::next() {
  for (auto& level : planned_) {
    if (level.empty()) continue;
    // not by a distribution of the library, which differs between libraries
    std::swap(level[random_() % level.size()], level.back());
    planned_schedule made = std::move(level.back());
    level.pop_back();
    return made;
  }
  return std::nullopt;
}

std::vector<std::size_t> schedule_search::left() const {
  std::vector<std::size_t> made;
  for (const auto& level : planned_) made.push_back(level.size());
  return made;
}

void schedule_search::add(planned_schedule made) {
  const std::size_t level = made.switches();
  if (planned_.size() <= level) planned_.resize(level + 1);
  planned_[level].push_back(std::move(made));
}

bool schedule_search::is_shared(std::uint32_t word) const noexcept {
  const users& of = words_[word];
  return of.stores != 0 && std::popcount(static_cast<unsigned>(of.loads | of.stores)) > 1;
}

void schedule_search::note_accesses(std::span<const logged_point> points) {
  for (const logged_point& each : points) {
    if (each.offset == no_offset) continue;
    const auto thread = static_cast<std::uint8_t>(1U << each.thread);
    const words_of touched(each);
    for (std::uint32_t word = touched.first; word <= touched.last; ++word) {
      users& of = words_[word];
      std::uint8_t& bits = each.kind == point_kind::load ? of.loads : of.stores;
      if ((bits & thread) != 0) continue;
      bits = static_cast<std::uint8_t>(bits | thread);
      if (!is_shared(word)) continue;
      const auto found = aside_.find(word);
      if (found == aside_.end()) continue;
      const std::vector<put_aside> now = std::move(found->second);
      aside_.erase(found);
      for (const put_aside& at : now) preempt(at);
    }
  }
}

void schedule_search::learn(const planned_schedule& ran, std::span<const run_slice> slices,
                            std::span<const logged_point> points) {
  note_accesses(points);
  for (std::size_t i = 0; i < slices.size(); ++i) change_slice(ran, slices, i, points);
}

// What else could have happened at the begin of this slice and within it.
void schedule_search::change_slice(const planned_schedule& ran, std::span<const run_slice> slices,
                                   std::size_t which, std::span<const logged_point> points) {
  const run_slice& slice = slices[which];
  if (which + 1 < ran.chosen_slices) return;
  auto base = std::make_shared<planned_schedule>(ran);
  base->steps = steps_of(slices.first(which));
  base->chosen_slices = which;
  // The last choice itself is not changed. What comes within it is.
  if (which >= ran.chosen_slices && slice.is_chosen) {
    choose_others(*base, slice, which == 0 ? nullptr : &slices[which - 1]);
    kill_waiters(*base, slice);
  }
  if (slice.end == stop_reason::paused || slice.end == stop_reason::dies) return;
  if (continues(slice)) base->steps.pop_back();
  const bool may_die = what_.threads[slice.thread].may_die && ran.deaths < how_.deaths;
  const auto others = static_cast<std::uint8_t>(slice.runnable & ~(1U << slice.thread));
  const bool may_be_preempted = others != 0 && ran.preemptions < how_.preemptions;
  // its first point is where it was chosen
  bool is_at_choice = slice.is_chosen;
  for (const logged_point& at : points.subspan(slice.first, slice.last - slice.first)) {
    if (!at.is_first) continue;
    const schedule_step stop{slice.thread, false, at.index};
    if (may_die && at.kind != point_kind::load) {
      planned_schedule made = *base;
      made.steps.push_back({slice.thread, true, at.index});
      made.chosen_slices = which + 1;
      ++made.deaths;
      add(std::move(made));
    }
    if (std::exchange(is_at_choice, false) || !may_be_preempted) continue;
    if (is_plain(at.kind) && ran.at_plain_accesses >= how_.at_plain_accesses) continue;
    preempt_if_shared({base, stop, others, at.kind, nullptr}, at);
  }
}

void schedule_search::preempt_if_shared(put_aside what, const logged_point& at) {
  if (at.kind == point_kind::call) return preempt(what);
  const words_of touched(at);
  for (std::uint32_t each = touched.first; each <= touched.last; ++each) {
    if (is_shared(each)) return preempt(what);
  }
  if (touched.first != touched.last) what.is_done = std::make_shared<bool>(false);
  for (std::uint32_t each = touched.first; each <= touched.last; ++each)
    aside_[each].push_back(what);
}

// After a yield the next one goes on. It is no fair choice that the same thread does, and it costs
// a preemption that yet another one does: threads that yield in turn could keep the rest from
// running for ever.
void schedule_search::choose_others(const planned_schedule& base, const run_slice& slice,
                                    const run_slice* before) {
  const bool has_yielded = before != nullptr && before->end == stop_reason::yields;
  if (has_yielded && base.preemptions >= how_.preemptions) return;
  for (std::uint8_t other = 0; other < what_.threads.size(); ++other) {
    if (other == slice.thread || (slice.runnable >> other & 1U) == 0) continue;
    if (has_yielded && other == before->thread) continue;
    planned_schedule made = base;
    if (has_yielded) ++made.preemptions;
    made.steps.push_back({other, false, to_its_end});
    made.chosen_slices = base.chosen_slices + 1;
    add(std::move(made));
  }
}

void schedule_search::kill_waiters(const planned_schedule& base, const run_slice& slice) {
  if (base.deaths >= how_.deaths) return;
  for (std::uint8_t each = 0; each < what_.threads.size(); ++each) {
    if ((slice.waiting >> each & 1U) == 0 || !what_.threads[each].may_die) continue;
    planned_schedule made = base;
    made.steps.push_back({each, true, to_its_end});
    made.chosen_slices = base.chosen_slices + 1;
    ++made.deaths;
    add(std::move(made));
  }
}

void schedule_search::preempt(const put_aside& at) {
  if (at.is_done != nullptr && std::exchange(*at.is_done, true)) return;
  for (std::uint8_t other = 0; other < what_.threads.size(); ++other) {
    if ((at.others >> other & 1U) == 0) continue;
    planned_schedule made = *at.base;
    made.steps.push_back(at.stop);
    made.steps.push_back({other, false, to_its_end});
    // a slice for each of the two steps
    made.chosen_slices = at.base->chosen_slices + 2;
    ++made.preemptions;
    if (is_plain(at.kind)) ++made.at_plain_accesses;
    add(std::move(made));
  }
}

}  // namespace outlive::killtest::detail
