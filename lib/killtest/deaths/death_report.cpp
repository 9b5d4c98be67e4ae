#include <outlive/killtest/death_kinds.hpp>

#include <algorithm>
#include <map>
#include <ostream>

#include "killtest/report/report_text.hpp"

namespace outlive::killtest {

std::string_view to_string(death_kind which) noexcept {
  switch (which) {
    case death_kind::sigkill: return "SIGKILL";
    case death_kind::segv: return "SIGSEGV";
    case death_kind::abort: return "abort()";
    case death_kind::exit_now: return "_exit()";
    case death_kind::exception: return "uncaught exception";
    case death_kind::thread_exit: return "end of the thread";
    case death_kind::exec: return "exec by the main thread";
    case death_kind::exec_from_thread: return "exec by another thread";
    case death_kind::cpu_limit: return "RLIMIT_CPU";
    case death_kind::memory_limit: return "memory cgroup";
  }
  return "unknown";
}

std::vector<death_kind> all_death_kinds() {
  return {death_kind::sigkill,   death_kind::segv,
          death_kind::abort,     death_kind::exit_now,
          death_kind::exception, death_kind::thread_exit,
          death_kind::exec,      death_kind::exec_from_thread,
          death_kind::cpu_limit, death_kind::memory_limit};
}

std::size_t death_report::failed() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(deaths.begin(), deaths.end(),
                    [](const tried_death& each) { return each.result != verdict::ok; }));
}

bool death_report::ok() const noexcept {
  return fault.empty() && !deaths.empty() && failed() == 0;
}

namespace {

struct of_one_kind {
  std::size_t deaths = 0;
  std::size_t adopted = 0;
};

std::string counts(const death_report& of) {
  std::map<death_kind, of_one_kind> kinds;
  for (const tried_death& each : of.deaths) {
    ++kinds[each.kind].deaths;
    if (!each.marked && each.result == verdict::ok) ++kinds[each.kind].adopted;
  }
  std::string text;
  for (const auto& [kind, count] : kinds) {
    text += "  " + std::string(to_string(kind)) + ": " + std::to_string(count.deaths);
    if (count.adopted != 0)
      text += ", " + std::to_string(count.adopted) + " not marked by the kernel, but adopted";
    text += '\n';
  }
  return text;
}

}  // namespace

std::string death_report::summary() const {
  std::string text = scenario + ": ";
  if (!fault.empty()) return text + "no death could be tried: " + fault + '\n';
  text += std::to_string(deaths.size()) + " deaths with " + std::to_string(locks) +
          " locks in hand; " + std::to_string(failed()) + " failed (" + detail::in_ms(took) +
          ")\n" + counts(*this);
  for (const tried_death& each : deaths) {
    if (each.result == verdict::ok) continue;
    text += "\n  " + std::string(to_string(each.result)) + ": " + each.what + "\n    died by " +
            std::string(to_string(each.kind)) + " with lock " + std::to_string(each.lock) +
            ", mutex " + each.mutex + '\n';
  }
  for (const skipped_kind& each : skipped)
    text += "  skipped: " + std::string(to_string(each.kind)) + ": " + each.why + '\n';
  return text;
}

std::ostream& operator<<(std::ostream& to, const death_report& what) {
  return to << what.summary();
}

}  // namespace outlive::killtest
