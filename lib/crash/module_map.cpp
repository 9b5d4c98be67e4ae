#include "crash/module_map.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>

#include "sys/modules.hpp"

namespace outlive::crash {

namespace {

struct map {
  std::array<mapped_module, 512> modules;
  std::size_t count = 0;

  bool operator==(const map& other) const noexcept {
    return std::equal(
        modules.begin(), modules.begin() + count, other.modules.begin(),
        other.modules.begin() + other.count, [](const mapped_module& a, const mapped_module& b) {
          return a.begin == b.begin && a.end == b.end && a.frame_header == b.frame_header;
        });
  }
};

// A handler reads one of them while another is written. One that is still read after three changes
// of the loaded modules would be overwritten; so the addresses in it are only read with a check.
constinit std::array<map, 4> maps{};
constinit std::atomic<const map*> current{&maps[0]};

std::mutex& refresh_mutex() {
  // never destroyed: threads lock it during static destruction
  static std::mutex& mutex = *new std::mutex;
  return mutex;
}

bool add(const detail::loaded_module& module, void* context) {
  map& to = *static_cast<map*>(context);
  if (to.count == to.modules.size()) return false;
  to.modules[to.count++] = {module.begin, module.end, module.frame_header};
  return true;
}

}  // namespace

void refresh_module_map() noexcept {
  // If another thread is at it, its look is as good. (After a fork during a look, the child never
  // looks again.)
  const std::unique_lock hold(refresh_mutex(), std::try_to_lock);
  if (!hold) return;
  const map* const old = current.load(std::memory_order_relaxed);
  map& next = maps[static_cast<std::size_t>(old - maps.data() + 1) % maps.size()];
  next.count = 0;
  try {
    detail::for_each_module(&add, &next);
  } catch (...) {
    return;
  }
  if (!(next == *old)) current.store(&next, std::memory_order_release);
}

const mapped_module* module_with(std::uint64_t address) noexcept {
  const map& now = *current.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < now.count; ++i) {
    const mapped_module& each = now.modules[i];
    if (address >= each.begin && address < each.end) return &each;
  }
  return nullptr;
}

}  // namespace outlive::crash
