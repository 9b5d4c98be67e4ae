#include <outlive/reset.hpp>

#include <chrono>
#include <memory>
#include <thread>

#include <outlive/error.hpp>

#include "error/failure.hpp"
#include "format/lock_state.hpp"
#include "mapping/mapping.hpp"
#include "mutex/attach.hpp"
#include "mutex/failure_text.hpp"
#include "mutex/recovery.hpp"
#include "segment/open_segments.hpp"

namespace outlive {

using namespace detail;

namespace {

constexpr std::chrono::milliseconds patience_with_others(2'000);
constexpr std::chrono::milliseconds slice(1);

bool is_consistent(const lock_bytes& lock) noexcept {
  return lock_state(lock.state.load(std::memory_order_acquire)).condition() ==
         lock_condition::consistent;
}

// Another holder either repairs the mutex, which may take a while, or holds it consistent: then
// there is nothing to do.
outcome rebuild_in_time(attachment& mine, lock_bytes& lock, const repair_callback& callback) {
  const std::uint64_t offset = mine.map->offset_of(&lock);
  const auto give_up = std::chrono::steady_clock::now() + patience_with_others;
  for (;;) {
    outcome result = try_rebuild(mine, offset, callback);
    if (!result.is_busy() || is_consistent(lock)) return result;
    if (std::chrono::steady_clock::now() >= give_up) return refused(errc::in_use);
    std::this_thread::sleep_for(slice);
  }
}

}  // namespace

bool reset(robust_mutex& mutex, const repair_callback& rebuild) {
  auto& lock = reinterpret_cast<lock_bytes&>(mutex);
  if (!rebuild)
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "reset: found an empty function, expected one that rebuilds");
  const std::shared_ptr<mapping> map = mapping_table::find(&mutex);
  if (!map) fail(errc::not_in_segment, failure_text(lock, errc::not_in_segment));
  const auto view = map->lock_at(map->offset_of(&mutex));
  if (view.lock == nullptr || !view.native) fail(errc::damaged, failure_text(lock, errc::damaged));
  if (this_thread::slot().wiped->repairs != 0)
    fail(errc::in_repair, failure_text(lock, errc::in_repair));

  // What rebuild throws may own the last handle of the segment, whose end would give this thread's
  // record back: this one ends after it.
  const std::shared_ptr<mapping> handle = open_segments::handle_of(map);
  outcome result;
  {
    const spare_scope identity(map);
    result = rebuild_in_time(identity.mine(), lock, rebuild);
  }
  if (result.error) throw_failure(lock, result);
  return result.repaired;
}

bool reset(robust_shared_mutex& mutex, const repair_callback& rebuild) {
  return reset(const_cast<robust_mutex&>(mutex.writers()), rebuild);
}

}  // namespace outlive
