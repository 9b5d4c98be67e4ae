#include "killtest/survivor/living_client.hpp"

#include <linux/futex.h>

#include <atomic>
#include <cstring>
#include <exception>
#include <vector>

#include <outlive/robust_mutex.hpp>

#include "format/lock_state.hpp"
#include "format/object_layout.hpp"
#include "killtest/state/private_view.hpp"
#include "killtest/survivor/survivors.hpp"

namespace outlive::killtest::detail {

namespace {

using outlive::detail::lock_bytes;
using outlive::detail::lock_condition;
using outlive::detail::lock_state;

struct two_kinds {
  std::vector<std::uint64_t> free;            // whoever locks it enters
  std::vector<std::uint64_t> needs_recovery;  // whoever locks it repairs, or fails
};

two_kinds kinds_of(const segment& seg, std::span<const std::uint64_t> mutexes) {
  two_kinds found;
  for (const std::uint64_t offset : mutexes) {
    const auto& lock = *reinterpret_cast<const lock_bytes*>(base_of(seg) + offset);
    std::uint32_t native;
    std::memcpy(&native, &lock.native, sizeof native);
    const lock_state state(lock.state.load(std::memory_order_relaxed));
    if (state.holder() || state.condition() != lock_condition::consistent) {
      found.needs_recovery.push_back(offset);
    } else if ((native & FUTEX_TID_MASK) == 0) {
      found.free.push_back(offset);
    }
  }
  return found;
}

// Returns: what the client says.
std::string ask(const scenario& what, segment& seg, std::uint64_t offset) {
  auto& mutex = *reinterpret_cast<const robust_mutex*>(base_of(seg) + offset);
  try {
    return what.living_client(seg, mutex);
  } catch (const std::exception& error) {
    return std::string("it threw: ") + error.what();
  }
}

}  // namespace

std::string ask_living_client(const scenario& what, segment& seg,
                              std::span<const std::uint64_t> mutexes) {
  if (!what.living_client) return {};
  const two_kinds before = kinds_of(seg, mutexes);
  if (before.needs_recovery.empty()) return {};
  for (const std::uint64_t each : before.free) {
    const std::string found = ask(what, seg, each);
    if (!found.empty()) {
      return "a living client that acquires mutex " + name_of(seg, each) + " while " +
             name_of(seg, before.needs_recovery.front()) + " is not recovered: " + found;
    }
    if (kinds_of(seg, mutexes).needs_recovery == before.needs_recovery) continue;
    return "living_client, which got mutex " + name_of(seg, each) +
           ", acquired another one, or kept it: an heir's repair ran in it";
  }
  return {};
}

}  // namespace outlive::killtest::detail
