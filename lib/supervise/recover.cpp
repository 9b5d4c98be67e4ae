#include <outlive/recover.hpp>

#include <optional>

#include <outlive/error.hpp>

#include "segment/directory.hpp"
#include "segment/failure.hpp"
#include "segment/names.hpp"
#include "segment/segment_access.hpp"
#include "sync/attach.hpp"
#include "sync/recovery.hpp"

namespace outlive {

using namespace detail;

namespace {

recovery_outcome outcome_of(const recovered_lock& lock) noexcept {
  if (lock.busy) return recovery_outcome::held_by_another;
  if (lock.result.error == errc::not_recoverable) return recovery_outcome::not_recoverable;
  if (lock.result.error) return recovery_outcome::unrepaired;
  return lock.result.repaired ? recovery_outcome::repaired : recovery_outcome::nothing_to_repair;
}

recovered_mutex describe(const mapping& where, const recovered_lock& lock) {
  recovered_mutex line;
  const auto* const bytes = reinterpret_cast<const lock_bytes*>(where.base() + lock.offset);
  line.mutex = reinterpret_cast<const robust_mutex*>(bytes);
  blocks::name_copy copy;  // the mutex is not in hand any more: another may destroy it
  const std::string_view name = directory::copy_name_of(where, lock.offset, copy);
  line.mutex_name = name.empty() ? "unknown" : name;
  line.lock_class = names::text_of(where, bytes->lock_class);
  line.pid = lock.pid;
  line.tid = lock.tid;
  line.outcome = outcome_of(lock);
  line.error = lock.result.error;
  line.adopted = lock.adopted;
  return line;
}

std::vector<recovered_mutex> recover(const segment& segment, std::optional<pid_t> pid) {
  const auto where = segment_access::mapping_of(segment)->shared_from_this();
  if (this_thread::slot().wiped->repairs != 0) {
    fail(errc::in_repair, where->describe() + ": found a repair of this thread under way, expected recover() to be called outside of repairs");
  }
  const spare_scope identity(attach_for_recovery(where));
  std::vector<recovered_mutex> lines;
  recover_dead(identity.mine(), pid, [&](const recovered_lock& lock) { lines.push_back(describe(*where, lock)); });
  return lines;
}

}  // namespace

std::string_view to_string(recovery_outcome outcome) noexcept {
  switch (outcome) {
    case recovery_outcome::repaired: return "repaired";
    case recovery_outcome::nothing_to_repair: return "nothing to repair";
    case recovery_outcome::unrepaired: return "unrepaired";
    case recovery_outcome::not_recoverable: return "not recoverable";
    case recovery_outcome::held_by_another: return "held by another";
  }
  return "unknown";
}

std::vector<recovered_mutex> recover(segment& where) {
  return recover(where, std::nullopt);
}

std::vector<recovered_mutex> recover(segment& where, pid_t pid) {
  return recover(where, std::optional<pid_t>(pid));
}

}  // namespace outlive
