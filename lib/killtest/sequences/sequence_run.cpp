#include "killtest/sequences/sequence_run.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <random>
#include <stdexcept>

#include <outlive/note.hpp>

#include "killtest/process/child_process.hpp"
#include "killtest/state/private_view.hpp"
#include "killtest/survivor/survivors.hpp"
#include "killtest/survivor/workload.hpp"

namespace outlive::killtest::detail {

namespace {

constexpr std::size_t max_observed = 64 * 1024;
constexpr unsigned max_dead_heirs = 3;  // after one death of an operation

// Shared with the process that observes.
class shared_bytes {
 public:
  explicit shared_bytes(std::size_t size)
      : size_(size), at_(static_cast<char*>(map_shared(size))) {}
  ~shared_bytes() { unmap_shared(at_, size_); }
  shared_bytes(const shared_bytes&) = delete;
  shared_bytes& operator=(const shared_bytes&) = delete;
  [[nodiscard]] char* get() const noexcept { return at_; }

 private:
  std::size_t size_;
  char* at_;
};

// At its end. A thread always holds the mutex of its own record.
bool holds_a_mutex(const recording& log, const std::vector<std::uint64_t>& mutexes) {
  const held_locks& held = log.held[log.held_at_end];
  return std::any_of(held.begin(), held.end(), [&](std::uint64_t each) {
    return std::find(mutexes.begin(), mutexes.end(), each) != mutexes.end();
  });
}

}  // namespace

sequence_run::sequence_run(const erased_model_test& test, const sequence_options& how, segment& seg)
    : test_(test),
      how_(how),
      seg_(seg),
      recorder_(seg, how.time_limit),
      timeline_(base_of(seg), seg.size_bytes()),
      why_not_(recorder_.choose(engine::automatic)) {}

sequence_run::result sequence_run::run(sequence& all) {
  result made;
  chain_.clear();
  timeline_.seek(chain_);
  model_ = test_.initial;
  for (sequence_step& each : all) {
    ++made.steps;
    made.what = step(each, made);
    if (!made.what.empty()) break;
  }
  return made;
}

std::string sequence_run::step(sequence_step& what, result& to) {
  const erased_operation& operation = test_.operations[what.operation];
  workload work;
  work.set_up = [&] {
    note(seg_, 0);  // claims a thread record
    return register_repairs(test_.of, seg_);
  };
  work.tested = [&] { operation.run(seg_, what.arguments); };
  std::string fault;
  const auto log = recorder_.record(work, fault);
  if (!fault.empty()) return operation.name + ": " + fault;
  const std::any before = model_;
  operation.model(model_, what.arguments);
  if (what.death) *what.death %= log->executed + 1;
  const bool at_end = play(log, what.death.value_or(log->executed));
  if (!what.death && holds_a_mutex(*log, timeline_.mutexes()))
    return operation.name + " came to its end and still holds a mutex";
  if (what.death) {
    ++to.deaths;
    if (std::string wrong = recover(what, to); !wrong.empty()) return wrong;
  }
  return compare(before, what.death.has_value() && !at_end);
}

bool sequence_run::play(const std::shared_ptr<const recording>& log, std::uint32_t executed) {
  timeline_.learn_locks(*log);
  const std::size_t end = log->stores.size();
  std::size_t at = log->setup;
  while (at < end && log->stores[at].executed <= executed) ++at;
  const std::uint32_t held = at == end          ? log->held_at_end
                             : at == log->setup ? log->held_at_start
                                                : log->stores[at - 1].held_after;
  chain_.push_back({log, at, held, false});
  timeline_.seek(chain_);
  return at == end;
}

// Heirs come until nothing is left to repair: each recovers everything, or one mutex alone, and
// some of them die on the way.
std::string sequence_run::recover(const sequence_step& what, result& to) {
  std::mt19937_64 random(what.heirs);
  unsigned dead = 0;
  for (;;) {
    const std::vector<std::uint64_t> left = timeline_.left_inside();
    std::optional<std::uint64_t> alone;
    // The number 0 chooses the plainest: recover() by one heir that lives.
    if (what.heirs != 0 && left.size() > 1 && random() % 2 == 0)
      alone = left[random() % left.size()];
    std::string fault;
    const auto log =
        recorder_.record(workload_of_heir(test_.of, seg_, timeline_.mutexes(), alone), fault);
    if (!fault.empty()) return "an heir: " + fault;
    if (!left.empty()) ++to.heirs;
    const bool dies = what.heirs != 0 && log->executed != 0 && dead < max_dead_heirs &&
                      std::generate_canonical<double, 32>(random) < how_.deaths / 2;
    const bool at_end =
        play(log, dies ? static_cast<std::uint32_t>(random() % log->executed) : log->executed);
    if (!at_end) ++dead;
    if (at_end && !alone) return {};
  }
}

// Returns: why the segment could not be observed. `seen`: what it holds.
std::string sequence_run::observe(std::string& seen) {
  const shared_bytes text(max_observed);
  const shared_text failure;
  const pid_t pid = start_process(
      [&] {
        map_private_view(seg_, seg_.fd());
        const auto registered = register_repairs(test_.of, seg_);
        const judgement left = recover_all(seg_, timeline_.mutexes());
        if (left.result != verdict::ok) throw std::runtime_error(left.what);
        const std::string found = test_.observe(seg_);
        std::memcpy(text.get(), found.data(), std::min(found.size(), max_observed - 1));
      },
      failure.text());
  const process_end ended = wait_for(pid, how_.time_limit);
  seen = text.get();
  return ended.exited(0) ? std::string()
                         : "the process that observes " + to_string(ended, failure.text());
}

// What died may have happened or not.
std::string sequence_run::compare(const std::any& before, bool died) {
  std::string seen;
  if (std::string wrong = observe(seen); !wrong.empty()) return wrong;
  const std::string after = test_.expected(model_);
  if (seen == after) return {};
  if (!died) return "found " + seen + ", expected " + after;
  const std::string unchanged = test_.expected(before);
  if (seen != unchanged)
    return "found " + seen + ", expected " + after + " if it happened, or " + unchanged +
           " if it did not";
  model_ = before;
  return {};
}

}  // namespace outlive::killtest::detail
