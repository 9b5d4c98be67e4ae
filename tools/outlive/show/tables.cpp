#include "show/tables.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

namespace show {

namespace {

using outlive::held_lock;
using outlive::viewed_condition;
using outlive::viewed_lock;
using outlive::viewed_thread;

tone tone_of(const viewed_lock& lock) {
  if (lock.condition == viewed_condition::damaged ||
      lock.condition == viewed_condition::not_recoverable)
    return tone::bad;
  if (lock.condition != viewed_condition::consistent || lock.holder_died) return tone::warning;
  return tone::plain;
}

bool is_free(const viewed_lock& lock) {
  return state_of(lock) == "free";
}

// An index, because there may be a million mutexes.
class thread_index {
 public:
  explicit thread_index(const snapshot& snap) {
    for (const viewed_thread& each : snap.threads) {
      by_record_[each.record] = &each;
      if (each.waiting_for) ++waiters_[*each.waiting_for];
    }
  }
  [[nodiscard]] const viewed_thread* holder_of(const viewed_lock& lock) const {
    const auto found = lock.holder ? by_record_.find(*lock.holder) : by_record_.end();
    return found == by_record_.end() ? nullptr : found->second;
  }
  [[nodiscard]] std::size_t waiters_of(const viewed_lock& lock) const {
    const auto found = waiters_.find(lock.offset);
    return found == waiters_.end() ? 0 : found->second;
  }

 private:
  std::unordered_map<std::uint32_t, const viewed_thread*> by_record_;
  std::unordered_map<std::uint64_t, std::size_t> waiters_;
};

// The thread's entry for the mutex, if it has one: the mutex may have changed hands since the
// threads were read.
const held_lock* hold_of(const viewed_thread* thread, std::uint64_t offset) {
  if (thread == nullptr) return nullptr;
  const auto found =
      std::find_if(thread->in_hand.begin(), thread->in_hand.end(),
                   [&](const held_lock& each) { return each.mutex_offset == offset; });
  return found == thread->in_hand.end() ? nullptr : &*found;
}

std::string holder_text(const viewed_lock& lock, const viewed_thread* holder) {
  if (holder != nullptr) return inspect::thread_name(*holder);
  return lock.holder_tid == 0 ? std::string() : fmt::format("thread {}", lock.holder_tid);
}

cell held_for(const snapshot& snap, const viewed_thread* holder, std::uint64_t mutex) {
  return duration_cell(holder == nullptr ? std::nullopt : snap.holds.held_for(*holder, mutex));
}

std::string mutex_at(const snapshot& snap, std::uint64_t offset) {
  const auto found = std::lower_bound(
      snap.locks.begin(), snap.locks.end(), offset,
      [](const viewed_lock& each, std::uint64_t other) { return each.offset < other; });
  const bool is_there = found != snap.locks.end() && found->offset == offset;
  return is_there ? inspect::mutex_name(*found) : hex(offset);
}

cell waiting_for(const snapshot& snap, const viewed_thread& thread) {
  return thread.waiting_for ? mutex_at(snap, *thread.waiting_for) : std::string();
}

cell reads(const snapshot& snap, const viewed_thread& thread) {
  std::vector<std::string> names;
  for (const std::uint64_t offset : thread.reads) names.push_back(mutex_at(snap, offset));
  return {names.empty() ? "-" : fmt::format("{}", fmt::join(names, ", ")), names};
}

// The dead stay in their places for as long as nobody needs these, and may be many.
template <class List>
List living_first(List all) {
  std::stable_partition(all.begin(), all.end(), [](const auto& each) { return each.alive; });
  return all;
}

cell alive_cell(bool alive) {
  return {alive ? "alive" : "dead", alive, alive ? tone::plain : tone::warning};
}

}  // namespace

// If the holder died and no locker has met that yet, the bytes of the mutex still say "consistent".
std::string state_of(const viewed_lock& lock) {
  if (lock.condition == viewed_condition::repairing && lock.holder_died) return "heir died";
  if (lock.condition != viewed_condition::consistent) return std::string(to_string(lock.condition));
  if (lock.holder_died) return "owner died";
  if (lock.holder || lock.holder_tid != 0) return "held";
  return lock.readers != 0 ? "held shared" : "free";
}

void snapshot::look_first(const outlive::segment_view& view) {
  holds.update(view.threads(), std::chrono::steady_clock::now());
  companions.read(view);
}

void snapshot::read(const outlive::segment_view& view) {
  name = view.name();
  size = view.size_bytes();
  deaths = view.death_count();
  meetings = view.meeting_count();
  pending = view.pending_deaths().size();
  owner = view.owner();
  objects = view.object_count();
  participants = living_first(view.participants());
  threads = living_first(view.threads());
  holds.update(threads, std::chrono::steady_clock::now());
  locks = view.locks();
  companions.read(view);
}

std::vector<column> lock_columns() {
  std::vector<column> all{{"mutex", "MUTEX"},
                          {"lock_class", "CLASS"},
                          {"state", "STATE"},
                          {"holder", "HOLDER"},
                          {"holder_pid", "PID", align::right, false},
                          {"holder_tid", "TID", align::right, false},
                          {"acquired_at", "ACQUIRED AT"},
                          {"held_for_seconds", "HELD >=", align::right},
                          {"waiters", "WAITERS", align::right},
                          {"readers", "READERS", align::right},
                          {"attempts", "ATTEMPTS", align::right, false},
                          {"offset", "OFFSET", align::right, false}};
  mark_columns(all, &column::may_go, {"lock_class", "readers"});
  return all;
}

std::string heading(const snapshot& snap, const terminal& on) {
  const std::string all =
      printable(fmt::format("segment {}: {} bytes, owner {}, {}, {}, {}", snap.name, snap.size,
                            inspect::user_name(snap.owner), counted(snap.objects, "object"),
                            counted(snap.locks.size(), "mutex", "mutexes"),
                            counted(snap.deaths, "owner death")) +
                (snap.pending == 0 ? "" : fmt::format(", {} more pending", snap.pending)));
  if (!on.is_one) return all + '\n';
  return fmt::format("{}\n", fmt::join(wrapped_to(all, std::max<std::size_t>(on.width, 2)), "\n"));
}

nlohmann::ordered_json summary(const snapshot& snap) {
  return {{"segment", snap.name},
          {"size_bytes", snap.size},
          {"owner", inspect::user_name(snap.owner)},
          {"objects", snap.objects},
          {"mutexes", snap.locks.size()},
          {"free", free_count(snap)},
          {"owner_deaths", snap.deaths},
          {"pending_owner_deaths", snap.pending}};
}

table participant_table(const snapshot& snap) {
  table made({{"pid", "PID", align::right},
              {"command", "COMMAND"},
              {"alive", "STATE"},
              {"threads", "THREADS", align::right},
              {"start_time", "START", align::right, false}});
  for (const auto& each : snap.participants) {
    const auto threads =
        std::count_if(snap.threads.begin(), snap.threads.end(),
                      [&](const viewed_thread& t) { return t.pid == each.pid && t.alive; });
    made.add({each.pid, each.command_name, alive_cell(each.alive), threads, each.start_time});
  }
  return made;
}

table thread_table(const snapshot& snap) {
  table made({{"tid", "TID", align::right},
              {"pid", "PID", align::right},
              {"thread", "THREAD"},
              {"alive", "STATE"},
              {"acquisitions", "ACQUIRED", align::right},
              {"waits", "WAITED", align::right},
              {"held", "HOLDS", align::right},
              {"reads", "READS"},
              {"waiting_for", "WAITS FOR"},
              {"note", "NOTE", align::right}});
  for (const auto& each : snap.threads) {
    made.add({each.tid, each.pid, each.thread_name, alive_cell(each.alive), each.acquisitions,
              each.waits, inspect::count_held(each), reads(snap, each), waiting_for(snap, each),
              each.note});
  }
  return made;
}

table lock_table(const snapshot& snap, bool all) {
  table made(lock_columns());
  const thread_index threads(snap);
  for (const viewed_lock& lock : snap.locks) {
    if (!all && is_free(lock)) continue;
    const viewed_thread* const holder = threads.holder_of(lock);
    const held_lock* const hold = hold_of(holder, lock.offset);
    const pid_t tid = holder != nullptr ? holder->tid : lock.holder_tid;
    made.add({inspect::mutex_name(lock), lock.lock_class, cell(state_of(lock)).in(tone_of(lock)),
              holder_text(lock, holder), holder != nullptr ? cell(holder->pid) : cell::none(),
              tid != 0 ? cell(tid) : cell::none(),
              hold == nullptr ? "" : snap.sources.describe_call(hold->acquired_at),
              held_for(snap, holder, lock.offset), threads.waiters_of(lock),
              lock.shared ? cell(lock.readers) : cell::none(), lock.attempts,
              hex_cell(lock.offset)});
  }
  return made;
}

std::size_t free_count(const snapshot& snap) {
  return static_cast<std::size_t>(std::count_if(snap.locks.begin(), snap.locks.end(), is_free));
}

}  // namespace show
