#include <outlive/killtest/death_kinds.hpp>

#include <linux/futex.h>

#include <cstring>
#include <memory>
#include <utility>

#include "killtest/deaths/victim_death.hpp"
#include "killtest/process/memory_group.hpp"
#include "killtest/state/lock_points.hpp"
#include "killtest/state/private_view.hpp"
#include "killtest/state/segment_copy.hpp"
#include "killtest/state/timeline.hpp"
#include "killtest/survivor/survivors.hpp"
#include "killtest/survivor/workload.hpp"
#include "killtest/trace/recorder.hpp"

namespace outlive::killtest {

namespace detail {

namespace {

class death_trial {
 public:
  death_trial(const scenario& what, const death_options& how, segment& seg)
      : what_(what), how_(how), seg_(seg) {
    report_.scenario = what.name;
  }

  death_report run() {
    const auto began = std::chrono::steady_clock::now();
    find_points();
    if (report_.fault.empty()) {
      for (const death_kind each : how_.kinds) try_kind(each);
    }
    report_.took = std::chrono::steady_clock::now() - began;
    return std::move(report_);
  }

 private:
  // By page protection alone: the store at which to die is reached in the process that dies, for
  // some kinds by a thread of its own.
  void find_points() {
    recorder log(seg_, how_.time_limit);
    if (const char* const why = log.choose(engine::page_protection)) {
      report_.fault = why;
      return;
    }
    std::string fault;
    const auto made = log.record(victim_, fault);
    if (!fault.empty()) {
      report_.fault = "the victim: " + fault;
      return;
    }
    timeline deaths(base_of(seg_), seg_.size_bytes());
    deaths.learn_locks(*made);
    mutexes_ = deaths.mutexes();
    points_ = lock_points_of(*made, base_of(seg_), seg_.size_bytes(), mutexes_);
    report_.locks = points_.size();
    if (points_.empty()) report_.fault = "the victim acquires no lock to die with";
  }

  void try_kind(death_kind kind) {
    std::unique_ptr<memory_group> group;
    if (kind == death_kind::memory_limit) {
      std::string why;
      group = memory_group::make(why);
      if (group == nullptr) {
        report_.skipped.push_back({kind, why});
        return;
      }
    }
    for (std::size_t i = 0; i < points_.size(); ++i) {
      report_.deaths.push_back(die(kind, points_[i], group.get()));
      report_.deaths.back().lock = i + 1;
    }
  }

  tried_death die(death_kind kind, const lock_point& at, const memory_group* group) {
    tried_death made;
    made.kind = kind;
    made.mutex = name_of(seg_, at.mutex);
    const segment_copy copy(seg_);
    const victim_death victim(kind, seg_, copy, victim_, at.stores, group, how_.time_limit);
    std::uint32_t word;
    std::memcpy(&word, copy.bytes() + at.mutex, sizeof word);
    made.marked = (word & FUTEX_OWNER_DIED) != 0;
    if (!victim.fault().empty() || (word & ~FUTEX_WAITERS) == 0) {
      made.result = verdict::model_differs;
      made.what = "the victim did not die where it should: " +
                  (victim.fault().empty() ? "no thread has mutex " + made.mutex : victim.fault());
      return made;
    }
    survivors fresh(what_, seg_, true, how_.time_limit);
    const judgement found = fresh.ask_about(copy.fd(), mutexes_);
    made.result = found.result;
    made.what = found.what;
    made.recovered = found.recovered;
    made.repaired = found.repaired;
    if (found.result == verdict::ok && found.recovered == 0) {
      made.result = verdict::model_differs;
      made.what = "the heir found nothing to recover";
    }
    return made;
  }

  const scenario& what_;
  const death_options& how_;
  segment& seg_;
  explore_options plain_;
  workload victim_ = workload_of_victim(what_, plain_, seg_);
  std::vector<std::uint64_t> mutexes_;
  std::vector<lock_point> points_;
  death_report report_;
};

}  // namespace

}  // namespace detail

death_report try_death_kinds(const scenario& what, const death_options& how) {
  segment seg = segment::anonymous(what.options);
  if (what.make) what.make(seg);
  return detail::death_trial(what, how, seg).run();
}

}  // namespace outlive::killtest
