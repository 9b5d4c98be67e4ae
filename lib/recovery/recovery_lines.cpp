#include "recovery/recovery_lines.hpp"

#include <outlive/error.hpp>

#include "directory/lock_class.hpp"
#include "repair/report.hpp"

namespace outlive::detail {

namespace {

recovery_outcome outcome_of(const recovered_lock& lock) noexcept {
  if (lock.result.is_busy()) return recovery_outcome::held_by_another;
  if (lock.result.error == errc::not_recoverable) return recovery_outcome::not_recoverable;
  if (lock.result.error) return recovery_outcome::unrepaired;
  return lock.result.repaired ? recovery_outcome::repaired : recovery_outcome::nothing_to_repair;
}

}  // namespace

recovered_mutex describe(const mapping& map, const recovered_lock& lock) {
  recovered_mutex line;
  const auto* const bytes = reinterpret_cast<const lock_bytes*>(map.base() + lock.offset);
  line.mutex = reinterpret_cast<const robust_mutex*>(bytes);
  line.mutex_name = mutex_name_at(map, lock.offset);
  line.lock_class = lock_class_name(map, *bytes);
  line.pid = lock.pid;
  line.tid = lock.tid;
  line.outcome = outcome_of(lock);
  line.error = lock.result.error;
  line.adopted = lock.adopted;
  return line;
}

}  // namespace outlive::detail
