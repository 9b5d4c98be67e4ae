// The registry of repairs of this process. Looked into only after a death.
//
// Never destroyed, because other threads may become heirs during static destruction; its mutex is
// held over a fork (U9). A repair that runs is counted, so that its registration's destructor can
// wait for it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <outlive/repair.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// What a repair is registered for: one mutex (its offset), or a lock class (offset 0, which no
// mutex has).
struct repair_key {
  const mapping* map;
  std::uint64_t lock_offset;
  std::uint32_t lock_class;
  bool operator==(const repair_key&) const noexcept = default;
};

struct registered_repair {
  repair_key key;
  repair_callback callback;
  std::shared_ptr<mapping> segment;  // keeps it open
  // Guarded by the registry's mutex.
  bool removed_inside = false;  // by the repair itself: its run is the last that owns this
  unsigned running = 0;
  std::uint64_t epoch = 0;  // of the process whose threads `running` counts
};

// A repair that was looked up to run. It counts as running until end().
class repair_run {
 public:
  repair_run() noexcept = default;
  repair_run(const mapping& map, std::uint64_t lock_offset, std::uint32_t lock_class);
  repair_run(const repair_run&) = delete;
  repair_run& operator=(const repair_run&) = delete;
  ~repair_run() { end(); }

  // Releases the repair: after that its callback, and what it owns, belongs to others. A callback
  // that removed its own registration is destroyed here, which may close the segment. The heir
  // keeps its record then, because it still has the mutex in its held list.
  void end() noexcept;

  [[nodiscard]] explicit operator bool() const noexcept { return repair_ != nullptr; }
  repair_result operator()(const owner_death& death) const { return repair_->callback(death); }

 private:
  friend struct repair_registry;
  std::shared_ptr<registered_repair> repair_;
  repair_run* outer_ = nullptr;
  std::uint64_t epoch_ = 0;
};

// Allocates what a look-up needs. Called when a thread claims its record, so that a later look-up,
// with a mutex in hand, cannot run out of memory.
void prepare_registry();

// Throws errc::already_registered. `described` names the key for the message.
std::shared_ptr<registered_repair> register_repair(const repair_key& key, repair_callback callback,
                                                   std::shared_ptr<mapping> segment,
                                                   const std::string& described);

// The lock classes of the segment that this process has repairs for, sorted. Repairs of single
// mutexes are not among them.
std::vector<std::uint32_t> classes_with_repair(const mapping& map);

// Removes it, and waits until no other thread runs it.
void unregister_repair(const std::shared_ptr<registered_repair>& repair) noexcept;

}  // namespace outlive::detail
