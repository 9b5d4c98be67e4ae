// The reports of a supervisor in words.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include <outlive/supervisor.hpp>

#include "sys/signals.hpp"

namespace outlive {

namespace {

std::string how_it_ended(const participant_death& death) {
  if (death.tid != 0) return "ended without giving its record back";
  if (death.signal)
    return "was killed by " + detail::signal_name(*death.signal) +
           (death.core_dumped ? " (core dumped)" : "");
  if (death.exit_code) return "exited with code " + std::to_string(*death.exit_code);
  return "has ended";
}

std::string text_of(const held_lock& lock, held_kind kind) {
  switch (kind) {
    case held_kind::job: return "a job of \"" + lock.mutex_name + '"';
    case held_kind::permit: return "a permit of \"" + lock.mutex_name + '"';
    case held_kind::mutex:
    case held_kind::shared: break;
  }
  return '"' + lock.mutex_name + "\" of class \"" + lock.lock_class +
         (kind == held_kind::shared ? "\" shared" : "\"");
}

std::string name_of(const thread_identity& thread) {
  return "pid " + std::to_string(thread.pid) + " tid " + std::to_string(thread.tid) + " (" +
         thread.command_name + ')';
}

}  // namespace

std::string to_string(const participant_death& death) {
  std::size_t good = 0, others = death.inherited.size();
  for (const recovered_mutex& each : death.recovered) {
    good += each.outcome == recovery_outcome::repaired ||
            each.outcome == recovery_outcome::nothing_to_repair;
    others += each.outcome == recovery_outcome::held_by_another;
  }
  std::string text = "pid " + std::to_string(death.pid) + " (" + death.command_name + ')';
  if (death.tid != 0) text += " tid " + std::to_string(death.tid);
  text += ' ' + how_it_ended(death);
  const std::size_t all = death.recovered.size() + death.inherited.size();
  if (all == 0) return text + ": no mutex to recover";
  std::string_view separator = ": ";
  if (all > others) {
    text += ": " + std::to_string(good) + (good == 1 ? " mutex" : " mutexes") + " recovered, " +
            std::to_string(all - others - good) + " not";
    separator = ", ";
  }
  if (others == 0) return text;
  return text + std::string(separator) + std::to_string(others) +
         (others == 1 ? " mutex inherited by another thread"
                      : " mutexes inherited by other threads");
}

std::string to_string(const hung_owner& owner) {
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.1f",
                std::chrono::duration<double>(owner.at_least).count());
  std::string text = name_of(owner.who) + " has held " + text_of(owner.held, owner.kind) +
                     " for at least " + seconds + " s" +
                     (owner.repairing ? " to repair it: " : ": ") +
                     std::string(to_string(owner.condition));
  text += owner.waiters.empty()
              ? ", nobody waits"
              : ", " + std::to_string(owner.waiters.size()) +
                    (owner.waiters.size() == 1 ? " thread waits" : " threads wait");
  if (owner.may_be_on_its_way) text += "; perhaps handed over, and not taken yet";
  return text;
}

std::string to_string(const deadlock& found) {
  std::string text = "deadlock of " + std::to_string(found.threads.size()) + " threads:";
  std::string_view waits = " waits for ";
  for (const deadlocked_thread& each : found.threads) {
    text += ' ' + name_of(each.who);
    text += waits;
    text += text_of(each.waits_for, each.kind) + ", held by";
    waits = ", which waits for ";
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

std::string to_string(const lost_name& lost) {
  return "segment \"" + lost.name + "\": its name " +
         (lost.replaced ? "leads to another segment now" : "was taken away") +
         ": who opens it does not get this one";
}

}  // namespace outlive
