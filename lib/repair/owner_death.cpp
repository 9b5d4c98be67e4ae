#include <outlive/owner_death.hpp>

#include <algorithm>

#include "directory/directory.hpp"
#include "directory/lock_class.hpp"
#include "repair/report.hpp"
#include "sys/hex.hpp"
#include "sys/symbols.hpp"

namespace outlive {

std::string code_location::where() const {
  std::string text = std::string(module) + "+" + detail::hex(offset);
  const std::string symbol = detail::function_at(std::string(module), build_id, offset).name;
  if (!symbol.empty()) text += " (" + symbol + ")";
  return text;
}

const robust_mutex& owner_death::mutex() const noexcept {
  return *reinterpret_cast<const robust_mutex*>(facts_.lock);
}

std::string_view owner_death::mutex_name() const noexcept {
  const std::string_view name =
      detail::directory::name_of(*facts_.map, facts_.map->offset_of(facts_.lock));
  return name.empty() ? "unknown" : name;
}

std::string_view owner_death::lock_class() const noexcept {
  return detail::lock_class_name(*facts_.map, *facts_.lock);
}

const thread_identity& owner_death::owner() const noexcept {
  return facts_.owner.thread;
}

const code_location& owner_death::acquired_at() const noexcept {
  return facts_.acquired_at;
}

const owner_crash* owner_death::crash() const noexcept {
  return facts_.has_crash ? &facts_.crash : nullptr;
}

std::size_t owner_death::held_count() const noexcept {
  return facts_.held_count;
}

held_lock owner_death::held(std::size_t index) const {
  return detail::describe_hold(*facts_.map, facts_.owner, facts_.held[index]);
}

bool owner_death::held_cut() const noexcept {
  return facts_.held_cut;
}

unsigned owner_death::attempt() const noexcept {
  return facts_.attempt;
}

unsigned owner_death::max_attempts() const noexcept {
  return facts_.map->constants().attempts;
}

const thread_identity* owner_death::former_heir() const noexcept {
  return facts_.has_former_heir ? &facts_.former_heir.thread : nullptr;
}

crash_report to_report(const owner_crash& crash) {
  crash_report report{crash.signal, crash.code, crash.address, crash.nested, {}};
  for (std::size_t i = 0; i < std::min(crash.frame_count, owner_crash::max_frames); ++i)
    report.frames.push_back(detail::to_frame(crash.frames[i]));
  name_functions(report);
  return report;
}

std::string to_string(const thread_identity& thread) {
  if (!thread.known) return "unknown";
  std::string text = "pid " + std::to_string(thread.pid) + " tid " + std::to_string(thread.tid) +
                     " (" + thread.command_name;
  if (thread.thread_name != thread.command_name) text += "/" + thread.thread_name;
  return text + ") started " + std::to_string(thread.start_time);
}

}  // namespace outlive
