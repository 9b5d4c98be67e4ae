#include "supervise/log.hpp"

#include <unistd.h>

#include <cstddef>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "inspect.hpp"
#include "output.hpp"
#include "source_lines.hpp"

namespace supervise {

namespace {

// For stdout. The terminal may have another size than at the last event.
std::string line(std::size_t depth, std::string_view text) {
  return indented(printable(text), 2 * depth, terminal::of_stdout());
}

// Each event reopens the files: a supervisor runs for long, and programs are replaced meanwhile.
std::string stack_text(std::size_t depth, const outlive::thread_stack& stack,
                       source_lines& sources) {
  std::string text;
  for (const std::string& each : inspect::stack_lines(stack, sources)) text += line(depth, each);
  return text;
}

std::string location_of(const outlive::held_lock& mutex, source_lines& sources) {
  const std::string location = sources.describe_call(mutex.acquired_at);
  return location.empty() ? "an unknown location" : location;
}

// Readers, and those who have jobs and permits, leave no return address.
bool leaves_its_place(outlive::held_kind kind) {
  return kind == outlive::held_kind::mutex;
}

}  // namespace

event_log::event_log()
    : stderr_(STDERR_FILENO, "standard error"),
      stdout_(STDOUT_FILENO, "standard output", &stderr_) {}

void event_log::write(const outlive::participant_death& death) const {
  std::string text = line(0, to_string(death));
  for (const auto& each : death.recovered) {
    text += line(1, fmt::format("{} of class {}: {}{}", each.mutex_name, each.lock_class,
                                to_string(each.outcome),
                                each.error ? ": " + each.error.message() : std::string()));
  }
  for (const auto& each : death.inherited) {
    text += line(1, fmt::format("{} of class {}: met by {}: {}", each.mutex_name, each.lock_class,
                                inspect::thread_name(each.heir), to_string(each.outcome)));
  }
  source_lines sources;
  for (const auto& thread : death.threads) {
    if (!thread.crash) continue;
    outlive::crash_report crash = *thread.crash;
    name_functions(crash);
    text += line(1, fmt::format("tid {}: {}", thread.who.tid, to_string(crash)));
    text += stack_text(2, {std::move(crash.frames), ""}, sources);
  }
  stdout_.write(std::move(text));
}

void event_log::write(const outlive::hung_owner& owner) const {
  source_lines sources;
  std::string text = line(0, to_string(owner));
  if (leaves_its_place(owner.kind))
    text += line(1, "acquired at " + location_of(owner.held, sources));
  text += stack_text(1, owner.stack, sources);
  for (const auto& each : owner.waiters) text += line(1, "waiting: " + inspect::thread_name(each));
  stdout_.write(std::move(text));
}

void event_log::write(const outlive::deadlock& found) const {
  source_lines sources;
  // to_string() has all of this but the places, in one line.
  std::string text = line(0, fmt::format("deadlock of {} threads", found.threads.size()));
  for (std::size_t i = 0; i < found.threads.size(); ++i) {
    const auto& each = found.threads[i];
    const auto& holder = found.threads[(i + 1) % found.threads.size()];
    const outlive::held_lock& what = each.waits_for;
    const std::string who = inspect::thread_name(each.who);
    text += line(1, leaves_its_place(each.kind)
                        ? fmt::format("{} waits at {} for {} of class {}, which {} has", who,
                                      location_of(what, sources), what.mutex_name, what.lock_class,
                                      inspect::thread_name(holder.who))
                        : fmt::format("{} waits for a permit of {}; {} has one", who,
                                      what.mutex_name, inspect::thread_name(holder.who)));
    text += stack_text(2, each.stack, sources);
  }
  stdout_.write(std::move(text));
}

void event_log::write(const outlive::lost_name& lost) const {
  stdout_.write(line(0, to_string(lost)));
}

void event_log::write(std::string_view text) const {
  stdout_.write(line(0, text));
}

void event_log::report_error(std::string_view what) const {
  const std::string text = fmt::format("outlive supervise: {}", what);
  stderr_.write(indented(printable(text), 0, terminal::of_stderr()));
}

}  // namespace supervise
