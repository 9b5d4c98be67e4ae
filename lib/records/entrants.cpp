#include "records/entrants.hpp"

#include <atomic>

#include "sys/fork_epoch.hpp"
#include "sys/native_mutex.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

namespace {

constexpr unsigned kind_shift = 30;
constexpr unsigned start_shift = 32;

std::uint32_t tid_in(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(word) & native_mutex::tid_mask;
}

}  // namespace

const own_identity& myself() noexcept {
  static constinit thread_local own_identity me{};
  if (me.epoch != process_epoch()) {
    me = {process_epoch(), start_time_of(current_tid()), static_cast<std::uint32_t>(current_tid())};
  }
  return me;
}

namespace entrants {

std::uint64_t word_of_this_thread(internal_kind which) noexcept {
  const own_identity& me = myself();
  return me.start_time << start_shift | static_cast<std::uint64_t>(which) << kind_shift | me.tid;
}

bool is_dead(std::uint64_t word) noexcept {
  return is_bearer_dead(static_cast<pid_t>(tid_in(word)),
                        static_cast<std::uint32_t>(word >> start_shift));
}

bool may_be_inside(const mapping& map, internal_kind which, std::uint32_t tid) noexcept {
  const std::uint64_t wanted = static_cast<std::uint64_t>(which) << kind_shift | tid;
  for (const shared_u64& each : map.header().entrants) {
    // Acquire: a reader that sees that an entrant has gone sees its count (entrant::count()).
    const std::uint64_t word = each.load(std::memory_order_acquire);
    if (static_cast<std::uint32_t>(word) == wanted && !is_dead(word)) return true;
  }
  return false;
}

bool are_complete(const mapping& map) noexcept {
  return map.header().unlisted.load(std::memory_order_acquire) == 0;
}

}  // namespace entrants

entrant::entrant(mapping& map, internal_kind which) noexcept
    : map_(map), which_(which), epoch_(process_epoch()) {
  const std::uint64_t mine = entrants::word_of_this_thread(which);
  auto& places = map.header().entrants;
  for (const bool over_the_dead : {false, true}) {
    for (std::size_t i = 0; i < max_entrants && place_ == nullptr; ++i) {
      shared_u64& place = places[(myself().tid + i) % max_entrants];
      std::uint64_t seen = place.load(std::memory_order_acquire);
      if (seen != 0 && !(over_the_dead && entrants::is_dead(seen))) continue;
      if (place.compare_exchange_strong(seen, mine, std::memory_order_acq_rel)) place_ = &place;
    }
  }
  // More threads at once than there are places. A death among these leaves the count, and judges
  // compare only ids from then on. An orphan then waits while another thread has its owner's id.
  if (place_ == nullptr) map.header().unlisted.fetch_add(1, std::memory_order_acq_rel);
  // Named before the native lock: a judge that sees this thread's id in its word sees the name.
  std::atomic_thread_fence(std::memory_order_release);
}

entrant::~entrant() {
  // a child that was forked inside: the entry is its parent's
  if (process_epoch() != epoch_) return;
  if (place_ == nullptr) {
    map_.header().unlisted.fetch_sub(1, std::memory_order_acq_rel);
  } else {
    place_->store(0, std::memory_order_release);  // after the count, and the native unlock
  }
}

void entrant::count() noexcept {
  shared_u64& taken = map_.header().internal_acquisitions[static_cast<unsigned>(which_)];
  // Release: who sees the count sees the native lock. Pairs with the load in directory_rest.
  taken.store(taken.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  // Counted before the first change. Pairs with the fence in directory_rest.
  std::atomic_thread_fence(std::memory_order_release);
}

}  // namespace outlive::detail
