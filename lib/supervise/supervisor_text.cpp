// What a supervisor tells, in words.
#include <algorithm>

#include <outlive/supervisor.hpp>

namespace outlive {

namespace {

std::string how_it_ended(const participant_death& death) {
  if (death.tid != 0) return "ended without giving its record back";
  if (death.signal) return "was killed by signal " + std::to_string(*death.signal) + (death.core_dumped ? " (core dumped)" : "");
  if (death.exit_code) return "exited with code " + std::to_string(*death.exit_code);
  return "has ended";
}

std::string name_of(const logged_thread& thread) {
  return "pid " + std::to_string(thread.pid) + " tid " + std::to_string(thread.tid) + " (" + thread.command_name + ')';
}

}  // namespace

std::string to_string(const participant_death& death) {
  const auto good = std::count_if(death.recovered.begin(), death.recovered.end(), [](const recovered_mutex& each) {
    return each.outcome == recovery_outcome::repaired || each.outcome == recovery_outcome::nothing_to_repair;
  });
  const auto all = static_cast<std::ptrdiff_t>(death.recovered.size());
  std::string text = "pid " + std::to_string(death.pid) + " (" + death.command_name + ')';
  if (death.tid != 0) text += " tid " + std::to_string(death.tid);
  text += ' ' + how_it_ended(death);
  if (all == 0) return text + ": it held nothing";
  return text + ": " + std::to_string(good) + (good == 1 ? " mutex recovered, " : " mutexes recovered, ") + std::to_string(all - good) + " not";
}

std::string to_string(const deadlock& found) {
  std::string text = "deadlock of " + std::to_string(found.threads.size()) + " threads:";
  for (const deadlocked_thread& each : found.threads) {
    text += ' ' + name_of(each.who) + " waits for \"" + each.waits_for.mutex_name + "\" of class \"" + each.waits_for.lock_class + "\", held by";
  }
  return found.threads.empty() ? text : text + ' ' + name_of(found.threads.front().who);
}

std::string_view to_string(thread_condition condition) noexcept {
  switch (condition) {
    case thread_condition::unknown: break;
    case thread_condition::running: return "running";
    case thread_condition::sleeping: return "sleeping";
    case thread_condition::waiting_for_device: return "waiting for a device";
    case thread_condition::stopped: return "stopped";
    case thread_condition::traced: return "traced";
    case thread_condition::frozen: return "frozen";
    case thread_condition::dumping_core: return "dumping core";
  }
  return "unknown";
}

}  // namespace outlive
