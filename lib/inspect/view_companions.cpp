#include "inspect/view_companions.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include <outlive/permit_pool.hpp>

#include "companions/holder.hpp"
#include "companions/job_slots.hpp"
#include "companions/lease_limit.hpp"
#include "records/thread_records.hpp"
#include "repair/report.hpp"

namespace outlive::detail {

namespace {

// The threads that the words of one queue or pool name. One thread may have thousands of jobs.
class named_threads {
 public:
  explicit named_threads(const mapping& map) : map_(map) {}

  // Requires: the record exists. Returns: an unknown one if the record is at another life by now.
  const thread_identity& find(std::uint32_t record, std::uint64_t generation, std::uint64_t mask) {
    auto [at, is_new] = known_.try_emplace({record, generation});
    if (!is_new) return at->second;
    thread_facts facts;
    const std::uint64_t now = thread_records::life(map_.record(record)).generation();
    if ((now & mask) == generation && describe_thread(facts, map_, record, now))
      at->second = facts.thread;
    return at->second;
  }

 private:
  const mapping& map_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, thread_identity> known_;
};

std::optional<viewed_job_state> shown(slot_use use, job_state state) noexcept {
  switch (use) {
    case slot_use::waiting:
    case slot_use::delayed:
      if (state.tries() == 0) return std::nullopt;
      return viewed_job_state::waiting;
    case slot_use::leased: return viewed_job_state::leased;
    case slot_use::dead_letter: return viewed_job_state::dead_letter;
    case slot_use::examined: return viewed_job_state::examined;
    case slot_use::vacant:
    case slot_use::filling:
    case slot_use::unknown: break;
  }
  return std::nullopt;
}

// The thread that had the job leased, and is dead, or its lease is over. Its record may be another
// thread's by now; then the history has what it wrote itself.
job_holder former_worker(const thread_identity& named, const std::vector<job_holder>& all,
                         std::size_t earlier) {
  if (named.known) return {true, named.pid, named.tid, named.start_time};
  return all.size() > earlier ? all.back() : job_holder{};
}

void add_former_worker(viewed_job& to, const mapping& map, const job_slots& slots,
                       std::uint32_t slot, job_state state, const thread_identity& named) {
  const job_state ended = state.to(job_kind::dead_letter, state.tries());
  const held_job last{&slots.queue, &slots.shape, slot, ended.word()};
  const job_holder_id holder = state.holder();
  kernel_answers kernel;
  if (is_dead_holder(map, holder.index_plus_1, holder.generation, job_generation_mask, &kernel)) {
    to.died_on_it.push_back(former_worker(named, history_of(last), to.died_on_it.size()));
  } else {
    to.expired_on_it.push_back(former_worker(named, ended_tries_of(last), to.expired_on_it.size()));
  }
}

viewed_job describe_job(const mapping& map, const job_slots& slots, std::uint32_t slot,
                        job_state state, viewed_job_state as, named_threads& threads) {
  viewed_job made;
  made.slot = slot;
  made.state = as;
  made.tries = state.tries();
  const held_job as_it_is{&slots.queue, &slots.shape, slot, state.word()};
  made.died_on_it = history_of(as_it_is);
  made.expired_on_it = ended_tries_of(as_it_is);
  const job_holder_id holder = state.holder();
  if (holder.index_plus_1 == 0) return made;
  const auto record = static_cast<std::uint32_t>(holder.index_plus_1 - 1);
  const thread_identity& named = threads.find(record, holder.generation, job_generation_mask);
  const bool has_no_holder = state.kind() == job_kind::leased && as != viewed_job_state::leased;
  if (has_no_holder) {
    add_former_worker(made, map, slots, slot, state, named);
  } else if (as != viewed_job_state::dead_letter) {
    made.holder = named;
    made.hold = {record, holder.generation, state.word(), map.offset_of(&slots.state(slot))};
  }
  return made;
}

}  // namespace

std::optional<viewed_queue> view_queue(const mapping& map, std::uint64_t offset,
                                       std::uint64_t room) {
  // Nothing is stored by what is called here.
  auto& head = *reinterpret_cast<work_queue_head*>(map.base() + offset);
  const auto found = find_shape(head, room);
  if (!found) return std::nullopt;
  const work_queue_shape& shape = *found;
  const job_slots slots{head, shape};
  viewed_queue seen;
  seen.offset = offset;
  seen.capacity = shape.capacity;
  seen.job_bytes = shape.job_bytes;
  seen.max_tries =
      std::min(__atomic_load_n(&head.max_tries, __ATOMIC_RELAXED), std::uint32_t{max_job_tries});
  seen.closed = slots.is_closed();
  seen.lease_limit = std::chrono::nanoseconds(
      std::min(__atomic_load_n(&head.lease_limit, __ATOMIC_RELAXED), max_lease_limit));
  const std::uint32_t lap = ring_position(head.head.load(std::memory_order_relaxed)).lap();
  named_threads threads(map);
  kernel_answers kernel;
  std::uint64_t next = ~std::uint64_t{0};
  std::vector<std::pair<std::uint32_t, viewed_job>> jobs;  // with the laps since
  for (std::uint32_t slot = 0; slot < shape.capacity; ++slot) {
    const job_state state = slots.read(slot);
    const slot_use use = use_at(map, seen.max_tries, slots, slot, state, &kernel, next);
    if (use == slot_use::waiting || use == slot_use::delayed) ++seen.waiting;
    if (use == slot_use::leased) ++seen.leased;
    if (use == slot_use::dead_letter || use == slot_use::examined) ++seen.dead_letters;
    if (const auto as = shown(use, state))
      jobs.emplace_back((lap - state.lap()) & job_lap_mask,
                        describe_job(map, slots, slot, state, *as, threads));
  }
  std::stable_sort(jobs.begin(), jobs.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (auto& [laps, job] : jobs) seen.jobs.push_back(std::move(job));
  return seen;
}

std::optional<viewed_permit_pool> view_permit_pool(const mapping& map, std::uint64_t offset,
                                                   std::uint64_t room) {
  const auto& head = *reinterpret_cast<const permit_pool_head*>(map.base() + offset);
  const auto load = [](const std::uint32_t& of) { return __atomic_load_n(&of, __ATOMIC_RELAXED); };
  if (room < sizeof head || load(head.magic) != permit_pool_magic) return std::nullopt;
  viewed_permit_pool seen;
  seen.offset = offset;
  seen.permits = load(head.permits);
  const std::uint32_t words = load(head.words);
  if (seen.permits == 0 || seen.permits > words ||
      words > (room - sizeof head) / sizeof(permit_word))
    return std::nullopt;
  kernel_answers kernel;
  std::map<std::uint64_t, std::uint32_t> counts;
  const auto* const first = reinterpret_cast<const permit_word*>(&head + 1);
  for (std::uint32_t i = 0; i < seen.permits; ++i) {
    const std::uint64_t word = first[i].load(std::memory_order_acquire);
    if (word == 0) {
      ++seen.free;
    } else if (is_dead_holder(map, word >> 48, word & generation_bits, generation_bits, &kernel)) {
      ++seen.free;
      ++seen.abandoned;
    } else {
      ++counts[word];
    }
  }
  named_threads threads(map);
  for (const auto& [word, count] : counts) {
    viewed_permit_pool::holder& by = seen.holders.emplace_back();
    static_cast<thread_identity&>(by) = threads.find(static_cast<std::uint32_t>((word >> 48) - 1),
                                                     word & generation_bits, generation_bits);
    by.permits = count;
    // After the word: permits that were released and acquired again belong to a later count.
    const auto record = static_cast<std::uint32_t>((word >> 48) - 1);
    by.hold = {record, word & generation_bits,
               map.record(record).acquisitions.load(std::memory_order_acquire), offset};
  }
  return seen;
}

}  // namespace outlive::detail
