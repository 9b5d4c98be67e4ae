// The facts of an owner's death, gathered before the repair starts. They are on the heir's stack,
// and gathering them allocates nothing.
#pragma once

#include <string>

#include <outlive/owner_death.hpp>

#include "format/lock_state.hpp"
#include "mapping/mapping.hpp"
#include "records/held_entries.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

struct thread_facts {
  thread_identity thread;  // names of at most 15 bytes, which need no memory of their own
  short_name name{};       // as the record has them
  short_name command{};
  std::uint32_t participant = 0;
  std::uint32_t record = 0;
  std::uint64_t generation = 0;
};

struct death_facts {
  const mapping* map = nullptr;
  const lock_bytes* lock = nullptr;
  thread_facts owner;
  thread_facts former_heir;
  bool has_former_heir = false;
  code_location acquired_at;
  bool has_crash = false;
  owner_crash crash;
  unsigned attempt = 0;
  bool met_before = false;  // by an earlier heir, who left the mutex unrepaired
  std::size_t held_count = 0;
  bool held_cut = false;
  seen_entry held[owner_death::max_reported];
};

// Gathers what the record of `owner` says, if it is still at that life, and that of `former_heir`,
// if there is one. The lock's state names both, so no thread claims the records meanwhile.
void gather(death_facts& facts, const mapping& map, const lock_bytes& lock, record_id owner,
            std::uint32_t owner_mask, record_id former_heir) noexcept;

// Describes the thread of a record. Returns: false if the record is at another life by now.
bool describe_thread(thread_facts& into, const mapping& map, record_id id,
                     std::uint32_t generation_mask) noexcept;
// The same by the whole generation.
bool describe_thread(thread_facts& into, const mapping& map, std::uint32_t index,
                     std::uint64_t generation) noexcept;

// Reads the crash note of a thread that describe_thread() has described. Returns: false if there is
// none.
bool describe_crash(owner_crash& into, const mapping& map, std::uint32_t index,
                    std::uint32_t participant) noexcept;

// A mutex that the thread has in hand, from its entry. Allocates.
held_lock describe_hold(const mapping& map, const thread_facts& by, const seen_entry& entry);
// The same for a mutex of which the entry may be gone.
held_lock describe_hold(const mapping& map, const thread_facts& by, std::uint64_t offset);

// Returns: the name of the object that contains the mutex, "unknown" if none does.
std::string mutex_name_at(const mapping& map, std::uint64_t offset);

// The place in plain values.
stack_frame to_frame(const code_location& place);

// Returns: the place of an address in the modules of its process.
code_location locate(const mapping& map, std::uint32_t participant, std::uint64_t address) noexcept;

}  // namespace outlive::detail
