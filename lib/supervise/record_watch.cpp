#include "supervise/record_watch.hpp"

#include <algorithm>

#include "records/thread_records.hpp"
#include "sys/native_mutex.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

namespace {

// A look into /proc costs a hundred times what a test signal does: so many in a sweep, and the next
// ones in the next.
constexpr std::uint32_t close_looks = 16;

}  // namespace

// The kernel marks the records of the dead. Those that it did not mark are orphans: their thread's
// id is free, or, seldom, another's by now.
bool record_watch::is_dead(std::uint32_t index, const thread_record& record) const noexcept {
  const std::uint32_t bearer = native_mutex::word(record.liveness) & native_mutex::tid_mask;
  if (bearer == 0) return thread_records::is_marked(record);
  if (is_thread_id_free(static_cast<pid_t>(bearer))) return true;
  const std::uint32_t distance =
      (index + map_.record_count() - next_close_look_) % map_.record_count();
  return distance < close_looks && thread_records::is_dead(record);
}

std::vector<pid_t> record_watch::find_deaths() {
  std::vector<pid_t> found;
  for (std::uint32_t index = 0; index < map_.record_count(); ++index) {
    const thread_record& record = map_.record(index);
    if (record.generation.load(std::memory_order_acquire) == dealt_with_[index] ||
        !is_dead(index, record))
      continue;
    const auto pid = static_cast<pid_t>(record.pid.load(std::memory_order_relaxed));
    if (pid > 0 && std::find(found.begin(), found.end(), pid) == found.end()) found.push_back(pid);
  }
  next_close_look_ = (next_close_look_ + close_looks) % map_.record_count();
  return found;
}

void record_watch::deal_with(std::vector<dead_thread_record>& dead) {
  std::erase_if(dead, [&](const dead_thread_record& each) {
    return dealt_with_[each.index] == each.generation;
  });
  for (const auto& each : dead) dealt_with_[each.index] = each.generation;
}

}  // namespace outlive::detail
