#include <outlive/recover.hpp>

#include <optional>

#include <outlive/error.hpp>

#include "companions/sleepers.hpp"
#include "error/failure.hpp"
#include "mutex/attach.hpp"
#include "recovery/recovery_lines.hpp"
#include "segment/segment_access.hpp"

namespace outlive {

using namespace detail;

namespace {

std::vector<recovered_mutex> recover(const segment& segment, std::optional<pid_t> pid) {
  const auto map = segment_access::mapping_of(segment)->shared_from_this();
  if (this_thread::slot().wiped->repairs != 0) {
    fail(errc::in_repair, map->describe() +
                              ": found a repair of this thread under way, expected recover() to be "
                              "called outside of repairs");
  }
  const spare_scope identity(map);
  std::vector<recovered_mutex> lines;
  recover_dead(identity.mine(), pid, no_limit,
               [&](const recovered_lock& lock) { lines.push_back(describe(*map, lock)); });
  wake_sleepers(*map);  // for the jobs and permits that the dead had
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

std::vector<recovered_mutex> recover(segment& seg) {
  return recover(seg, std::nullopt);
}

std::vector<recovered_mutex> recover(segment& seg, pid_t pid) {
  return recover(seg, std::optional<pid_t>(pid));
}

}  // namespace outlive
