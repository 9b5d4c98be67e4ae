// The death log.
#include <algorithm>
#include <atomic>

#include <outlive/death_log.hpp>

#include "format/death_word.hpp"
#include "format/shared_copy.hpp"
#include "inspect/check/problems.hpp"
#include "sys/hex.hpp"

namespace outlive::detail {

namespace {

void check_thread(problem_list& found, const logged_thread_bytes& thread,
                  const std::string& object) {
  found.at_most(thread.known, 1, object, "mark of what is known");
  found.zero(&thread.reserved, sizeof thread.reserved, object, "reserved bytes");
  if (thread.known == 0)
    found.zero(&thread, sizeof thread, object, "bytes of a thread that is not known");
  if (!is_terminated(thread.name, sizeof thread.name))
    found.add(object, "a name without an end", "at most 15 bytes");
  if (!is_terminated(thread.command, sizeof thread.command))
    found.add(object, "a command's name without an end", "at most 15 bytes");
}

void check_crash(problem_list& found, const logged_crash_bytes& crash, const std::string& object) {
  if (crash.signal == 0) return;  // nothing of it counts
  found.at_most(crash.signal, 64, object, "signal");
  found.at_most(crash.nested, 1, object, "mark of a nested signal");
  found.at_most(crash.count, logged_frames, object, "frames");
  for (std::size_t i = 0; i < std::min<std::size_t>(crash.count, logged_frames); ++i) {
    const std::uint64_t module = crash.frames[i] >> logged_module_shift;
    found.at_most(module, logged_modules, object, "module of a frame");
    if (module == 0 || module > logged_modules) continue;
    const logged_module_bytes& its = crash.modules[module - 1];
    if (!is_terminated(its.path, sizeof its.path))
      found.add(object, "a module's path without an end",
                "at most " + std::to_string(sizeof its.path - 1) + " bytes");
    found.at_most(its.build_id_size, sizeof its.build_id, object, "bytes of build id");
  }
}

void check_death(problem_list& found, const mapping& map, const logged_death_bytes& death,
                 const std::string& object) {
  const bool is_place = death.lock_offset % cache_line == 0 &&
                        death.lock_offset >= map.layout().objects &&
                        death.lock_offset <= map.size() - cache_line;
  if (!is_place)
    found.add(object, "a mutex at " + hex(death.lock_offset), "its place among the objects");
  if (!is_name(map, death.lock_class, name_kind::lock_class))
    found.add(object, "lock class " + std::to_string(death.lock_class), "one of the names");
  found.at_most(death.attempt, map.constants().attempts, object, "attempt");
  if (!is_terminated(death.module, sizeof death.module))
    found.add(object, "a module's path without an end", "at most 143 bytes");
  check_thread(found, death.owner, object + ", owner");
  check_thread(found, death.heir, object + ", heir");
}

void check_entry(problem_list& found, const mapping& map, std::uint32_t slot) {
  const death_entry& entry = map.death_at(slot);
  const death_word seen(entry.number.load(std::memory_order_acquire));
  if (seen.word() == 0 || seen.is_busy()) return;  // none, or half of one
  const std::uint64_t number = seen.word();
  const std::string object = "death log, slot " + std::to_string(slot);
  if (!seen.is_whole(slot)) {
    return found.add(object, "entry " + std::to_string(number),
                     "one whose number belongs into this slot");
  }
  logged_death_bytes death;
  logged_crash_bytes crash;
  load_shared(death, entry.death);
  load_shared(crash, entry.crash);
  const death_result result(entry.result.load(std::memory_order_relaxed));
  // the copy is complete before the number is read again
  std::atomic_thread_fence(std::memory_order_acquire);
  if (entry.number.load(std::memory_order_relaxed) != number) return;
  const std::uint64_t deaths = map.header().deaths.load(std::memory_order_acquire);
  if (number > deaths)
    found.add(object, "entry " + std::to_string(number),
              "at most " + std::to_string(deaths) + ", as many as the header counts");
  if (result.outcome() < static_cast<std::uint32_t>(death_outcome::repairing) ||
      result.outcome() > static_cast<std::uint32_t>(death_outcome::not_recoverable)) {
    found.add(object, "outcome " + std::to_string(result.outcome()), "1 to 5");
  }
  if (!result.is_of(number))
    found.add(object, "the result of another entry, " + hex(result.word()), "its own");
  found.at_most(__atomic_load_n(&entry.met_before, __ATOMIC_RELAXED), 1, object, "met before");
  found.zero(entry.spare, sizeof entry.spare, object, "spare bytes");
  check_death(found, map, death, object);
  check_crash(found, crash, object);
}

}  // namespace

void check_deaths(problem_list& found, const mapping& map) {
  for (std::uint32_t i = 0; i < death_log_capacity; ++i) check_entry(found, map, i);
}

}  // namespace outlive::detail
