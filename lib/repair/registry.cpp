#include "repair/registry.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "error/failure.hpp"
#include "format/hash.hpp"
#include "sys/at_load.hpp"
#include "sys/fork_epoch.hpp"
#include "sys/no_cancellation.hpp"

namespace outlive::detail {

namespace {

struct key_hash {
  std::size_t operator()(const repair_key& key) const noexcept {
    return mix(mix(reinterpret_cast<std::uintptr_t>(key.map), key.lock_offset), key.lock_class);
  }
};

struct registry {
  std::mutex mutex;
  // Counts the runs that have ended; unregister_repair() sleeps on it. No condition variable: that
  // counts its sleepers in memory, a child of fork would inherit the number, and its notify_all()
  // wait for sleepers that only its parent has.
  std::atomic<std::uint32_t> ended{0};
  std::unordered_map<repair_key, std::shared_ptr<registered_repair>, key_hash> all;

  static registry& instance() {
    static registry& made = []() -> registry& {
      auto fresh = std::make_unique<registry>();
      around_fork([] { instance().mutex.lock(); }, [] { instance().mutex.unlock(); });
      return *fresh.release();
    }();
    return made;
  }
};

const made_at_load registry_of_repairs([] { registry::instance(); });

// The repairs that the calling thread is in, innermost first.
constinit thread_local repair_run* innermost = nullptr;

}  // namespace

struct repair_registry {
  struct own_runs {
    bool any = false;      // those included that a fork in them left in this child's stack
    unsigned counted = 0;  // in `running`
  };
  static own_runs own_runs_of(const registered_repair& repair) noexcept {
    own_runs found;
    for (const repair_run* run = innermost; run != nullptr; run = run->outer_) {
      if (run->repair_.get() != &repair) continue;
      found.any = true;
      if (run->epoch_ == process_epoch()) ++found.counted;
    }
    return found;
  }
};

repair_run::repair_run(const mapping& map, std::uint64_t lock_offset, std::uint32_t lock_class) {
  registry& from = registry::instance();
  const std::lock_guard hold(from.mutex);
  auto found = from.all.find({&map, lock_offset, 0});
  if (found == from.all.end()) found = from.all.find({&map, 0, lock_class});
  if (found == from.all.end()) return;
  repair_ = found->second;
  // A forked child has only its own thread's repairs.
  if (repair_->epoch != process_epoch()) repair_->running = 0;
  repair_->epoch = epoch_ = process_epoch();
  ++repair_->running;
  outer_ = std::exchange(innermost, this);
}

void repair_run::end() noexcept {
  if (!repair_) return;
  const no_cancellation here;  // a callback's end must not be unwound
  innermost = outer_;
  registry& from = registry::instance();
  std::shared_ptr<registered_repair> last;
  {
    const std::lock_guard hold(from.mutex);
    if (epoch_ == process_epoch()) --repair_->running;
    // Together with the count: a thread that waits for the count to remove the repair still owns
    // it, so it ends there and not here. One that was removed here ends after the mutex is
    // released, for its end is the user's code.
    if (repair_->removed_inside) last = std::move(repair_);
    repair_.reset();
    from.ended.fetch_add(1, std::memory_order_relaxed);
  }
  from.ended.notify_all();
}

void prepare_registry() {
  registry::instance();
}

std::shared_ptr<registered_repair> register_repair(const repair_key& key, repair_callback callback,
                                                   std::shared_ptr<mapping> segment,
                                                   const std::string& described) {
  if (!callback) {
    throw std::system_error(
        std::make_error_code(std::errc::invalid_argument),
        described + ": found an empty function, expected a repair (or outlive::always_consistent)");
  }
  auto made = std::make_shared<registered_repair>();
  made->key = key;
  made->callback = std::move(callback);
  made->segment = std::move(segment);
  registry& into = registry::instance();
  const std::lock_guard hold(into.mutex);
  if (!into.all.try_emplace(key, made).second) {
    fail(errc::already_registered, described + ": found a repair of this process, expected none");
  }
  return made;
}

std::vector<std::uint32_t> classes_with_repair(const mapping& map) {
  std::vector<std::uint32_t> found;
  registry& in = registry::instance();
  const std::lock_guard hold(in.mutex);
  for (const auto& [key, repair] : in.all) {
    if (key.map == &map && key.lock_offset == 0) found.push_back(key.lock_class);
  }
  std::sort(found.begin(), found.end());
  return found;
}

void unregister_repair(const std::shared_ptr<registered_repair>& repair) noexcept {
  registry& from = registry::instance();
  std::unique_lock hold(from.mutex);
  const auto found = from.all.find(repair->key);
  // In a child whose parent forked while it removed this, the key may be another's by now.
  if (found != from.all.end() && found->second == repair) from.all.erase(found);
  const auto own = repair_registry::own_runs_of(*repair);
  while (repair->epoch == process_epoch() && repair->running > own.counted) {
    // under the mutex, as each change of it
    const std::uint32_t seen = from.ended.load(std::memory_order_relaxed);
    hold.unlock();
    from.ended.wait(seen, std::memory_order_relaxed);
    hold.lock();
  }
  repair->removed_inside = own.any;
}

}  // namespace outlive::detail
