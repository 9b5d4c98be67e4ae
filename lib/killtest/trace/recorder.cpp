#include "killtest/trace/recorder.hpp"

#include <signal.h>

#include <stdexcept>

#include "killtest/process/child_process.hpp"
#include "killtest/state/private_view.hpp"
#include "killtest/stores/write_guard.hpp"
#include "killtest/trace/fault_scout.hpp"
#include "killtest/trace/step_scout.hpp"

namespace outlive::killtest::detail {

namespace {

constexpr int by_faults = 10;  // times the limit for one judgement
constexpr int by_steps = 100;

const char* why_not(engine which) {
  switch (which) {
    case engine::protection_keys: return why_no_protection_keys();
    case engine::page_protection: return why_no_page_protection();
    case engine::single_step: return why_no_single_steps();
    case engine::automatic: break;
  }
  return "no engine";
}

}  // namespace

const char* recorder::choose(engine wanted) {
  const char* why = "no engine";
  for (const engine each :
       {engine::protection_keys, engine::page_protection, engine::single_step}) {
    if (wanted != engine::automatic && wanted != each) continue;
    chosen_ = each;
    why = why_not(each);
    if (why == nullptr) return nullptr;
  }
  return why;
}

std::shared_ptr<const recording> recorder::record(const workload& what, std::string& fault) {
  log_.reset();
  fault.clear();
  const int pid =
      chosen_ == engine::single_step ? record_by_steps(what, fault) : record_by_faults(what, fault);
  if (const char* const full = log_.overflow()) fault = std::string("no room in ") + full;
  auto made = std::make_shared<recording>(log_.read());
  made->pid = pid;
  made->by = chosen_;
  made->alone = what.alone;
  return made;
}

int recorder::record_by_faults(const workload& what, std::string& fault) {
  shared_text failure;
  const pid_t pid = start_process(
      [&] {
        map_private_view(seg_, seg_.fd());
        const auto registered = what.set_up();
        log_differences(log_, seg_, {{0, seg_.size_bytes()}});
        begin_logging(chosen_, log_, base_of(seg_), seg_.size_bytes(), -1, nullptr);
        what.tested();
        if (const char* const why = end_logging()) throw std::runtime_error(why);
      },
      failure.text());
  const process_end ended = wait_for(pid, limit_ * by_faults);
  if (!ended.in_time) {
    fault = "it was not done in " + std::to_string((limit_ * by_faults).count()) +
            " ms while its stores were logged";
  } else if (!ended.exited(0)) {
    fault = ended.threw() ? failure.text() : "it " + to_string(ended);
  }
  return pid;
}

int recorder::record_by_steps(const workload& what, std::string& fault) {
  const segment_copy copy(seg_);
  return step_through(log_, seg_, copy.fd(), copy.bytes(), what, nullptr, limit_ * by_steps, fault);
}

std::string recorder::kill_at(const workload& what, const segment_copy& copy,
                              const log_position& at) {
  log_.reset();
  std::string fault;
  const engine by = at.log->by;  // another one may be chosen by now
  if (by == engine::single_step) {
    const step_kill kill{at.log->executed_after(at.stores), at.log->held[at.held]};
    static_cast<void>(
        step_through(log_, seg_, copy.fd(), copy.bytes(), what, &kill, limit_ * by_steps, fault));
    return fault;
  }
  const fault_kill kill{
      at.before_next ? at.log->executed_before_next(at.stores) : at.log->executed_after(at.stores),
      at.before_next};
  shared_text failure;
  const pid_t pid = start_process(
      [&] {
        map_view_of(seg_, copy.fd());
        const auto registered = what.set_up();
        begin_logging(by, log_, base_of(seg_), seg_.size_bytes(), copy.fd(), &kill);
        what.tested();
        static_cast<void>(end_logging());
      },
      failure.text());
  const process_end ended = wait_for(pid, limit_ * by_faults);
  if (ended.signalled() && ended.signal() == SIGKILL) return {};
  return "it " + to_string(ended, failure.text());
}

}  // namespace outlive::killtest::detail
