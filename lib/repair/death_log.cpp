#include "repair/death_log.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "directory/lock_class.hpp"
#include "directory/names.hpp"
#include "format/death_word.hpp"
#include "format/shared_copy.hpp"
#include "records/thread_records.hpp"
#include "segment/segment_access.hpp"

namespace outlive {

namespace detail {

namespace {

logged_thread_bytes bytes_of(const thread_facts& facts) noexcept {
  logged_thread_bytes bytes{};
  bytes.known = facts.thread.known ? 1 : 0;
  bytes.pid = static_cast<std::uint32_t>(facts.thread.pid);
  bytes.tid = static_cast<std::uint32_t>(facts.thread.tid);
  bytes.start_time = facts.thread.start_time;
  bytes.note = facts.thread.note;
  std::memcpy(bytes.name, facts.name.data(), sizeof bytes.name);
  std::memcpy(bytes.command, facts.command.data(), sizeof bytes.command);
  return bytes;
}

thread_identity thread_of(const logged_thread_bytes& bytes) {
  thread_identity thread;
  thread.known = bytes.known != 0;
  thread.pid = static_cast<pid_t>(bytes.pid);
  thread.tid = static_cast<pid_t>(bytes.tid);
  thread.start_time = bytes.start_time;
  thread.note = bytes.note;
  if (bytes.name[0] != 0)
    thread.thread_name.assign(bytes.name, strnlen(bytes.name, sizeof bytes.name));
  if (bytes.command[0] != 0)
    thread.command_name.assign(bytes.command, strnlen(bytes.command, sizeof bytes.command));
  return thread;
}

// Keeps the end of a path that is too long.
template <std::size_t Size>
void keep_path(char (&to)[Size], std::string_view path) noexcept {
  if (path.size() >= Size) path.remove_prefix(path.size() - Size + 1);
  std::memcpy(to, path.data(), path.size());
}

// Returns: the module's index in the entry, plus 1; 0 if there is no room left.
std::uint64_t keep_module(logged_crash_bytes& bytes, const code_location& frame,
                          const code_location* (&kept)[logged_modules]) noexcept {
  if (frame.module == "unknown") return 0;
  for (std::size_t i = 0; i < logged_modules; ++i) {
    if (kept[i] != nullptr && kept[i]->module == frame.module) return i + 1;
    if (kept[i] != nullptr) continue;
    kept[i] = &frame;
    keep_path(bytes.modules[i].path, frame.module);
    const std::size_t size = std::min(frame.build_id.size(), sizeof bytes.modules[i].build_id);
    bytes.modules[i].build_id_size = static_cast<std::uint32_t>(size);
    std::memcpy(bytes.modules[i].build_id, frame.build_id.data(), size);
    return i + 1;
  }
  return 0;
}

logged_crash_bytes bytes_of(const owner_crash& crash) noexcept {
  constexpr std::uint64_t place_mask = (std::uint64_t{1} << logged_module_shift) - 1;
  logged_crash_bytes bytes{};
  bytes.signal = static_cast<std::uint32_t>(crash.signal);
  bytes.code = static_cast<std::uint32_t>(crash.code);
  bytes.address = crash.address;
  bytes.nested = crash.nested ? 1 : 0;
  bytes.count = static_cast<std::uint32_t>(std::min(crash.frame_count, logged_frames));
  const code_location* kept[logged_modules] = {};
  for (std::size_t i = 0; i < bytes.count; ++i) {
    const code_location& frame = crash.frames[i];
    const std::uint64_t module = keep_module(bytes, frame, kept);
    bytes.frames[i] =
        ((module != 0 ? frame.offset : frame.address) & place_mask) | module << logged_module_shift;
  }
  return bytes;
}

std::optional<crash_report> crash_of(const logged_crash_bytes& bytes) {
  if (bytes.signal == 0) return std::nullopt;
  crash_report crash{static_cast<int>(bytes.signal),
                     static_cast<int>(bytes.code),
                     bytes.address,
                     bytes.nested != 0,
                     {}};
  for (std::size_t i = 0; i < std::min<std::size_t>(bytes.count, logged_frames); ++i) {
    stack_frame& frame = crash.frames.emplace_back();
    const std::uint64_t module = bytes.frames[i] >> logged_module_shift;
    const std::uint64_t place = bytes.frames[i] & ((std::uint64_t{1} << logged_module_shift) - 1);
    if (module == 0 || module > logged_modules) {
      frame.address = place;
      continue;
    }
    const logged_module_bytes& in = bytes.modules[module - 1];
    frame.offset = place;
    frame.module.assign(in.path, strnlen(in.path, sizeof in.path));
    frame.build_id.assign(in.build_id, std::min<std::size_t>(in.build_id_size, sizeof in.build_id));
  }
  return crash;
}

struct entry_copy {
  std::uint64_t number = 0;
  death_result result{0};
  bool met_before = false;
  logged_death_bytes death{};
  logged_crash_bytes crash;
};

bool is_outcome(std::uint32_t outcome) noexcept {
  return outcome >= static_cast<std::uint32_t>(death_outcome::repairing) &&
         outcome <= static_cast<std::uint32_t>(death_outcome::not_recoverable);
}

// Copies the slot's entry. Returns: false if there is none, or if it is not finished.
bool read_entry(const mapping& map, std::uint64_t slot, entry_copy& copy) noexcept {
  const death_entry& entry = map.death_at(slot);
  const death_word seen(entry.number.load(std::memory_order_acquire));
  if (!seen.is_whole(slot)) return false;
  copy.number = seen.number();
  copy.met_before = __atomic_load_n(&entry.met_before, __ATOMIC_RELAXED) != 0;
  load_shared(copy.death, entry.death);
  load_shared(copy.crash, entry.crash);
  copy.result = death_result(entry.result.load(std::memory_order_relaxed));
  // the copy is complete before the number is read again
  std::atomic_thread_fence(std::memory_order_acquire);
  if (entry.number.load(std::memory_order_relaxed) != seen.word()) return false;
  return copy.result.is_of(copy.number) && is_outcome(copy.result.outcome());
}

// Whether the writer of a busy slot has gone for good. A living one may be stopped, and store on as
// soon as it runs.
bool is_writer_gone(const mapping& map, record_id writer) noexcept {
  const auto index = thread_records::find(map, writer, death_generation_mask);
  return !index || !thread_records::is_held(map.record(*index));
}

bool may_claim(const mapping& map, death_word seen, std::uint64_t number) noexcept {
  // A later entry than mine: I was stopped while the ring went round. If the header has not counted
  // it, it is damage.
  const std::uint64_t begun =
      map.header().deaths.load(std::memory_order_relaxed) & death_number_mask;
  if (seen.number() > number && seen.number() <= begun) return false;
  return !seen.is_busy() || is_writer_gone(map, seen.writer());
}

// Takes the slot of a new number, and makes it busy. A slot that a living writer has is passed over
// with its number: that writer may be in the middle of a store into it. Returns 0 when that
// happened all round the ring.
std::uint64_t claim_slot(mapping& map, record_id writer) noexcept {
  for (std::uint32_t tries = 0; tries < death_log_capacity; ++tries) {
    const std::uint64_t number =
        (map.header().deaths.fetch_add(1, std::memory_order_relaxed) + 1) & death_number_mask;
    if (number == 0) continue;
    shared_u64& word = map.death_at((number - 1) % death_log_capacity).number;
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    // Acquire: with is_writer_gone(), and with the publishing exchange of the former writer: its
    // stores come before mine.
    while (may_claim(map, death_word(seen), number)) {
      if (word.compare_exchange_weak(seen, death_word::busy(number, writer).word(),
                                     std::memory_order_acquire, std::memory_order_relaxed)) {
        return number;
      }
    }
  }
  return 0;
}

}  // namespace

std::uint64_t log_death(mapping& map, const death_facts& facts, record_id heir,
                        death_outcome outcome) noexcept {
  logged_death_bytes death{};
  death.when_ns =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                     std::chrono::system_clock::now().time_since_epoch())
                                     .count());
  death.lock_offset = map.offset_of(facts.lock);
  death.lock_class = lock_class_of(map, *facts.lock).value_or(~0U);
  death.attempt = facts.attempt;
  death.module_offset = facts.acquired_at.offset;
  death.owner = bytes_of(facts.owner);
  thread_facts heir_facts;
  describe_thread(heir_facts, map, heir, holder_generation_mask);
  death.heir = bytes_of(heir_facts);
  keep_path(death.module, facts.acquired_at.module);

  if (!facts.met_before) map.header().owner_deaths.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t number = claim_slot(map, heir);
  if (number == 0) return 0;
  death_entry& entry = map.death_at((number - 1) % death_log_capacity);
  // busy before the bytes: pairs with read_entry()'s fence
  std::atomic_thread_fence(std::memory_order_release);
  __atomic_store_n(&entry.met_before, facts.met_before ? 1 : 0, __ATOMIC_RELAXED);
  store_shared(entry.death, death);
  if (facts.has_crash) {
    store_shared(entry.crash, bytes_of(facts.crash));
  } else {
    __atomic_store_n(&entry.crash.signal, 0, __ATOMIC_RELAXED);
  }
  entry.result.store(death_result(number, static_cast<std::uint32_t>(outcome), 0).word(),
                     std::memory_order_relaxed);
  // Pairs with read_entry()'s first load, and with claim_slot(). By exchange: whoever lost the slot
  // must not publish it.
  std::uint64_t mine = death_word::busy(number, heir).word();
  return entry.number.compare_exchange_strong(mine, number, std::memory_order_release,
                                              std::memory_order_relaxed)
             ? number
             : 0;
}

void log_outcome(mapping& map, std::uint64_t number, death_outcome outcome,
                 std::chrono::nanoseconds repair_time) noexcept {
  if (number == 0) return;
  // By exchange from what this entry says: where the ring has gone round, the lap is another, and
  // nothing is stored.
  const auto ended = static_cast<std::uint64_t>(repair_time.count());
  std::uint64_t begun =
      death_result(number, static_cast<std::uint32_t>(death_outcome::repairing), 0).word();
  map.death_at((number - 1) % death_log_capacity)
      .result.compare_exchange_strong(
          begun, death_result(number, static_cast<std::uint32_t>(outcome), ended).word(),
          std::memory_order_relaxed);
}

std::vector<logged_death> read_deaths(const mapping& map, std::optional<pid_t> of) {
  std::vector<logged_death> all;
  // By the slots, not by the header's count, which may have been overwritten.
  for (std::uint64_t slot = 0; slot < death_log_capacity; ++slot) {
    entry_copy copied;
    if (!read_entry(map, slot, copied)) continue;
    const logged_death_bytes& bytes = copied.death;
    if (of && bytes.owner.pid != static_cast<std::uint32_t>(*of)) continue;
    logged_death& death = all.emplace_back();
    death.number = copied.number;
    death.met_before = copied.met_before;
    death.when = std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds(bytes.when_ns)));
    death.mutex_name = mutex_name_at(map, bytes.lock_offset);
    death.lock_class = names::text_of(map, bytes.lock_class);
    death.mutex_offset = bytes.lock_offset;
    death.owner = thread_of(bytes.owner);
    death.acquired_at_module.assign(bytes.module, strnlen(bytes.module, sizeof bytes.module));
    death.acquired_at_offset = bytes.module_offset;
    death.heir = thread_of(bytes.heir);
    death.attempt = bytes.attempt;
    death.outcome = static_cast<death_outcome>(copied.result.outcome());
    death.repair_time = std::chrono::nanoseconds(copied.result.repair_ns());
    death.crash = crash_of(copied.crash);
  }
  std::sort(all.begin(), all.end(),
            [](const logged_death& a, const logged_death& b) { return a.number < b.number; });
  return all;
}

}  // namespace detail

using namespace detail;

std::string_view to_string(death_outcome outcome) noexcept {
  switch (outcome) {
    case death_outcome::repairing: return "repairing";
    case death_outcome::repaired: return "repaired";
    case death_outcome::failed: return "failed";
    case death_outcome::unrepaired: return "unrepaired";
    case death_outcome::not_recoverable: return "not recoverable";
  }
  return "unknown";
}

std::vector<logged_death> death_log(const segment& seg) {
  return read_deaths(*segment_access::mapping_of(seg));
}

}  // namespace outlive
