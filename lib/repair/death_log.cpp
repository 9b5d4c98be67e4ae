#include "repair/death_log.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "segment/directory.hpp"
#include "segment/names.hpp"
#include "segment/segment_access.hpp"
#include "segment/shared_copy.hpp"
#include "sys/crash_barrier.hpp"

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

logged_thread thread_of(const logged_thread_bytes& bytes) {
  logged_thread thread;
  thread.known = bytes.known != 0;
  thread.pid = static_cast<pid_t>(bytes.pid);
  thread.tid = static_cast<pid_t>(bytes.tid);
  thread.start_time = bytes.start_time;
  thread.note = bytes.note;
  thread.thread_name.assign(bytes.name, strnlen(bytes.name, sizeof bytes.name));
  thread.command_name.assign(bytes.command, strnlen(bytes.command, sizeof bytes.command));
  return thread;
}

// A sound copy of the slot's entry, or false where it is being written, was never finished or is none.
bool read_entry(const mapping& where, std::uint64_t slot, std::uint64_t& number, logged_death_bytes& death, std::uint32_t& outcome) noexcept {
  const death_entry& entry = where.death_at(slot);
  number = entry.number.load(std::memory_order_acquire);
  if (number == 0 || (number - 1) % death_log_capacity != slot) return false;
  load_shared(death, entry.death);
  outcome = entry.outcome.load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);  // the copy is complete before the number is read again
  if (entry.number.load(std::memory_order_relaxed) != number) return false;
  return outcome >= static_cast<std::uint32_t>(death_outcome::repairing) &&
         outcome <= static_cast<std::uint32_t>(death_outcome::not_recoverable);
}

}  // namespace

std::uint64_t log_death(mapping& where, const death_facts& facts, record_id heir, death_outcome outcome) noexcept {
  logged_death_bytes death{};
  death.when_ns = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
  death.lock_offset = where.offset_of(facts.lock);
  death.lock_class = facts.lock->lock_class;
  death.attempt = facts.attempt;
  death.module_offset = facts.acquired_at.offset;
  death.owner = bytes_of(facts.owner);
  thread_facts heir_facts;
  describe_thread(heir_facts, where, heir, holder_generation_mask);
  death.heir = bytes_of(heir_facts);
  std::string_view module = facts.acquired_at.module;
  if (module.size() >= sizeof death.module) module.remove_prefix(module.size() - sizeof death.module + 1);
  std::memcpy(death.module, module.data(), module.size());

  const std::uint64_t number = where.header().deaths.fetch_add(1, std::memory_order_relaxed) + 1;
  death_entry& entry = where.death_at((number - 1) % death_log_capacity);
  entry.number.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);  // pairs with read_entry(): no reader takes new bytes for the old entry's
  store_shared(entry.death, death);
  entry.outcome.store(static_cast<std::uint32_t>(outcome), std::memory_order_relaxed);
  entry.number.store(number, std::memory_order_release);
  return number;
}

void log_outcome(mapping& where, std::uint64_t number, death_outcome outcome) noexcept {
  death_entry& entry = where.death_at((number - 1) % death_log_capacity);
  if (entry.number.load(std::memory_order_relaxed) != number) return;
  entry.outcome.store(static_cast<std::uint32_t>(outcome), std::memory_order_relaxed);
}

std::vector<logged_death> read_deaths(const mapping& where) {
  std::vector<logged_death> all;
  // By the slots, not by the header's count: what is there is told even if the count was overwritten.
  for (std::uint64_t slot = 0; slot < death_log_capacity; ++slot) {
    std::uint64_t number = 0;
    logged_death_bytes bytes;
    std::uint32_t outcome = 0;
    if (!read_entry(where, slot, number, bytes, outcome)) continue;
    logged_death& death = all.emplace_back();
    death.number = number;
    death.when = std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(bytes.when_ns)));
    blocks::name_copy copy;  // the object may end while it is looked at
    const std::string_view name = directory::copy_name_of(where, bytes.lock_offset, copy);
    death.mutex_name = name.empty() ? "unknown" : name;
    death.lock_class = names::text_of(where, bytes.lock_class);
    death.mutex_offset = bytes.lock_offset;
    death.owner = thread_of(bytes.owner);
    death.acquired_at_module.assign(bytes.module, strnlen(bytes.module, sizeof bytes.module));
    death.acquired_at_offset = bytes.module_offset;
    death.heir = thread_of(bytes.heir);
    death.attempt = bytes.attempt;
    death.outcome = static_cast<death_outcome>(outcome);
  }
  std::sort(all.begin(), all.end(), [](const logged_death& a, const logged_death& b) { return a.number < b.number; });
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

std::vector<logged_death> death_log(const segment& where) {
  return read_deaths(*segment_access::mapping_of(where));
}

}  // namespace outlive
