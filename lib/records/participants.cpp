#include "records/participants.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "error/failure.hpp"
#include "format/hash.hpp"
#include "format/shared_copy.hpp"
#include "mapping/surroundings.hpp"
#include "records/thread_records.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/modules.hpp"
#include "sys/process.hpp"

namespace outlive::detail::participants {

std::uint64_t identity_of(pid_t pid, std::uint64_t start_time) noexcept {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(pid)) << 32 |
         (start_time & 0xffffffff);
}

namespace {

// Whether the record of an unrecovered death refers to the participant.
bool is_referred_to(const mapping& map, std::uint32_t index) noexcept {
  for (std::uint32_t i = 0; i < map.record_count(); ++i) {
    const thread_record& record = map.record(i);
    if (record.participant.load(std::memory_order_relaxed) != index) continue;
    if (!thread_records::is_free(map, i)) return true;
  }
  return false;
}

// `though_referred_to`: also reuse a slot that an unrecovered record refers to. The report of that
// death then has no data of its process.
bool try_claim_slot(mapping& map, std::uint32_t index, std::uint64_t mine,
                    bool though_referred_to) noexcept {
  shared_u64& identity = map.participant_at(index).identity;
  std::uint64_t seen = identity.load(std::memory_order_acquire);
  if (seen != 0 && (is_alive(seen) || (!though_referred_to && is_referred_to(map, index))))
    return false;
  return identity.compare_exchange_strong(seen, mine, std::memory_order_acq_rel);
}

// How many participants a newcomer checks before it claims an unused slot. Each check costs system
// calls. Newcomers start at different slots, so the dead are found in the end, and the table grows
// little beyond the living.
constexpr std::uint32_t asked_at_first = 4;

std::optional<std::uint32_t> find_own(const mapping& map, std::uint64_t mine) noexcept {
  for (std::uint32_t i = 0; i < map.constants().participants; ++i) {
    if (map.participant_at(i).identity.load(std::memory_order_acquire) != mine) continue;
    // Ours from before a close, or from before an exec: that one had another command and other
    // modules, and its deaths may still be unreported.
    if (!is_referred_to(map, i)) return i;
  }
  return std::nullopt;
}

// Claims one of the first `count` slots. Checks at most `asked` of them.
std::optional<std::uint32_t> claim_among(mapping& map, std::uint32_t count, std::uint32_t asked,
                                         std::uint64_t mine, bool though_referred_to) noexcept {
  const auto start = static_cast<std::uint32_t>(count == 0 ? 0 : mix(mine, 0) % count);
  for (std::uint32_t i = 0; i < std::min(count, asked); ++i) {
    const std::uint32_t index = i < count - start ? start + i : start + i - count;
    if (try_claim_slot(map, index, mine, though_referred_to)) return index;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> claim_slot(mapping& map, std::uint64_t mine) noexcept {
  const std::uint32_t count = map.constants().participants;
  std::uint32_t used = 0;
  while (used < count && map.participant_at(used).identity.load(std::memory_order_relaxed) != 0)
    ++used;
  if (const auto taken = claim_among(map, used, asked_at_first, mine, false)) return taken;
  for (std::uint32_t i = used; i < count; ++i) {
    std::uint64_t nobody = 0;
    if (map.participant_at(i).identity.compare_exchange_strong(nobody, mine,
                                                               std::memory_order_acq_rel))
      return i;
  }
  // If all belong to processes that died inside of locks, only a newcomer may be left to recover
  // them. So it must get a slot (as U3 for records).
  for (const bool though_referred_to : {false, true}) {
    if (const auto taken = claim_among(map, count, count, mine, though_referred_to)) return taken;
  }
  return std::nullopt;
}

struct module_writer {
  participant& into;
};

bool is_listed(const participant& in, std::uint32_t count, const loaded_module& module) noexcept {
  return std::any_of(in.modules, in.modules + count, [&](const module_entry& each) {
    return each.begin == module.begin && each.end == module.end;
  });
}

bool write_module(const loaded_module& module, void* context) {
  participant& into = static_cast<module_writer*>(context)->into;
  // A value out of range was overwritten: then nothing more is listed. Each is read once, so that
  // the checked value is the one that is used.
  const std::uint32_t count = into.module_count.load(std::memory_order_relaxed);
  const std::uint32_t used = __atomic_load_n(&into.string_bytes, __ATOMIC_RELAXED);
  if (count > max_modules || used > sizeof into.strings) {
    into.modules_cut = 1;
    return true;
  }
  if (is_listed(into, count, module)) return true;
  if (count == max_modules || sizeof into.strings - used < module.path.size() + 1) {
    into.modules_cut = 1;
    return true;
  }
  module_entry& entry = into.modules[count];
  entry.base = module.base;
  entry.begin = module.begin;
  entry.end = module.end;
  entry.path = static_cast<std::uint16_t>(used);
  entry.build_id_size = static_cast<std::uint8_t>(module.build_id.size());
  std::memcpy(entry.build_id, module.build_id.data(), module.build_id.size());
  std::memcpy(into.strings + used, module.path.data(), module.path.size());
  into.strings[used + module.path.size()] = 0;
  into.string_bytes = used + static_cast<std::uint32_t>(module.path.size() + 1);
  crash_barrier();  // an entry counts only when it is complete
  into.module_count.store(count + 1, std::memory_order_release);
  return true;
}

void describe_myself(mapping& map, participant& into) {
  // the identity changes before anything else: describe_thread() reads it again
  std::atomic_thread_fence(std::memory_order_release);
  into.module_count.store(0, std::memory_order_relaxed);
  crash_barrier();  // the former process's modules are gone before its strings are overwritten
  into.start_time = start_time_of(current_pid());
  into.pid_namespace = map.constants().pid_namespace;
  into.modules_cut = 0;
  into.string_bytes = 0;
  const short_name command = current_command_name();
  store_shared_name(into.command, command);
  module_writer writer{into};
  for_each_module(&write_module, &writer);
}

}  // namespace

// Compares only the part of the start time that the identity keeps. The other fields may be a
// former process's.
bool is_reused(std::uint64_t identity) noexcept {
  const std::uint64_t now = start_time_of(pid_in(identity));
  return now != 0 && (identity & 0xffffffff) != 0 && (now & 0xffffffff) != (identity & 0xffffffff);
}

bool is_alive(std::uint64_t identity) noexcept {
  return !is_process_dead(pid_in(identity)) && !is_reused(identity);
}

std::uint32_t join(mapping& map) {
  // A child in a PID namespace of its own may have inherited the mapping.
  check_namespaces(map.describe(), map.constants());
  const std::uint32_t count = map.constants().participants;
  const std::uint64_t mine = identity_of(current_pid(), start_time_of(current_pid()));
  auto index = find_own(map, mine);
  if (!index) index = claim_slot(map, mine);
  if (index) {
    describe_myself(map, map.participant_at(*index));
    return *index;
  }
  fail(errc::too_many_participants,
       map.describe() + ": found all " + std::to_string(count) +
           " participants in use, expected a free one (segment_options::participants)");
}

void refresh_modules(mapping& map, std::uint32_t index) {
  module_writer writer{map.participant_at(index)};
  for_each_module(&write_module, &writer);
}

bool is_process_of(const mapping& map, std::uint32_t index, pid_t pid,
                   std::uint64_t start_time) noexcept {
  if (index >= map.constants().participants) return false;
  // what was read of the participant was read before its identity
  std::atomic_thread_fence(std::memory_order_acquire);
  const std::uint64_t identity = map.participant_at(index).identity.load(std::memory_order_relaxed);
  // A later process with the same pid started after the thread. The difference is right across an
  // overflow of the low half.
  const auto age = static_cast<std::int32_t>(static_cast<std::uint32_t>(start_time) -
                                             static_cast<std::uint32_t>(identity));
  return pid_in(identity) == pid && age >= 0;
}

bool has_thread(const mapping& map, std::uint32_t tid) noexcept {
  for (std::uint32_t i = 0; i < map.constants().participants; ++i) {
    const std::uint64_t identity = map.participant_at(i).identity.load(std::memory_order_acquire);
    if (identity == 0 || is_thread_dead(pid_in(identity), static_cast<pid_t>(tid), 0)) continue;
    if (is_alive(identity)) return true;  // else a stranger bears a dead participant's pid
  }
  return false;
}

}  // namespace outlive::detail::participants
