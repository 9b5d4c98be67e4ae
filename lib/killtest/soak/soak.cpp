#include <outlive/killtest/soak.hpp>

#include <signal.h>
#include <sys/random.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ostream>
#include <random>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include <outlive/death_log.hpp>
#include <outlive/note.hpp>

#include "killtest/process/child_process.hpp"
#include "killtest/report/report_text.hpp"
#include "killtest/soak/holders.hpp"
#include "killtest/survivor/survivors.hpp"

namespace outlive::killtest {

namespace detail {

namespace {

constexpr auto aim_limit = std::chrono::milliseconds(20);  // then a worker is killed wherever it is
constexpr std::uint64_t kills_between_readings = 8;        // of the death log, which keeps far more

// Shared by all processes of a soak.
struct soak_memory {
  std::atomic<std::uint32_t> stop;
  std::atomic<std::uint64_t> rounds;
  verdict result;
  char what[failure_bytes];
  char failure[failure_bytes];  // of the last worker that threw
};

class soaker {
 public:
  soaker(const scenario& what, const soak_options& how, segment& seg)
      : what_(what),
        how_(how),
        seg_(seg),
        memory_(static_cast<soak_memory*>(map_shared(sizeof(soak_memory)))),
        random_(how.seed),
        holders_(seg),
        deaths_(seg) {
    report_.scenario = what.name;
    report_.seed = how.seed;
  }

  ~soaker() {
    for (const pid_t pid : workers_) {
      if (pid != 0) end_process(pid);
    }
    unmap_shared(memory_, sizeof(soak_memory));
  }
  soaker(const soaker&) = delete;
  soaker& operator=(const soaker&) = delete;

  soak_report run() {
    const auto began = std::chrono::steady_clock::now();
    for (unsigned i = 0; i < how_.workers; ++i) workers_.push_back(start());
    while (report_.result == verdict::ok && report_.kills < how_.max_kills &&
           std::chrono::steady_clock::now() - began < how_.time)
      kill_one();
    if (report_.result == verdict::ok) stop_all();
    if (report_.result == verdict::ok) judge_what_is_left();
    deaths_.read();
    report_.while_holding = deaths_.owners();
    report_.repairs = deaths_.repairs();
    report_.rounds = memory_->rounds.load();
    if (report_.kills == 0) {
      report_.fault = "no worker was killed";
    } else if (report_.while_holding == 0) {
      report_.fault = "no worker was killed while holding a lock";
    }
    report_.took = std::chrono::steady_clock::now() - began;
    return report_;
  }

 private:
  pid_t start() {
    return start_process(
        [this] {
          note(seg_, 0);
          const auto registered = register_repairs(what_, seg_);
          while (memory_->stop.load(std::memory_order_relaxed) == 0) {
            what_.victim(seg_);
            memory_->rounds.fetch_add(1, std::memory_order_relaxed);
          }
        },
        memory_->failure);
  }

  void pause() {
    const auto longest = static_cast<std::uint64_t>(how_.longest_pause.count());
    std::this_thread::sleep_for(std::chrono::microseconds(random_() % (longest + 1)));
  }

  // A worker that is inside a lock, searched from a random one on; the random one if none is found
  // in time. Waiting for one certain worker would take as long as its wait for the lock.
  pid_t& aim(std::size_t first, bool& aimed) {
    const auto deadline = std::chrono::steady_clock::now() + aim_limit;
    while (std::chrono::steady_clock::now() < deadline) {
      for (std::size_t i = 0; i < workers_.size(); ++i) {
        pid_t& pid = workers_[(first + i) % workers_.size()];
        aimed = stop_inside(pid, deadline);
        if (aimed) return pid;
      }
    }
    return workers_[first];
  }

  // Stops the worker. Returns: whether it is stopped inside a lock. A worker that was only seen
  // inside may have left before the kill arrives: on a busy machine, none was ever hit inside.
  bool stop_inside(pid_t pid, std::chrono::steady_clock::time_point limit) const noexcept {
    if (!holders_.is_inside(pid) || ::kill(pid, SIGSTOP) != 0) return false;
    siginfo_t now{};
    while (now.si_pid == 0 && std::chrono::steady_clock::now() < limit) {
      const int options = WSTOPPED | WEXITED | WNOHANG | WNOWAIT;  // the exit status is read later
      if (::waitid(P_PID, static_cast<id_t>(pid), &now, options) != 0) break;
    }
    if (now.si_pid == pid && now.si_code == CLD_STOPPED && holders_.is_inside(pid)) return true;
    ::kill(pid, SIGCONT);
    return false;
  }

  void kill_one() {
    const std::size_t first = random_() % workers_.size();
    const bool aims = std::uniform_real_distribution<>(0, 1)(random_) < how_.aim;
    pause();
    bool aimed = false;
    pid_t& pid = aims ? aim(first, aimed) : workers_[first];
    ::kill(pid, SIGKILL);
    const process_end ended = wait_for(pid, how_.time_limit);
    pid = 0;
    if (!ended.signalled() || ended.signal() != SIGKILL) return report_end(ended);
    ++report_.kills;
    if (aimed) ++report_.aimed;
    if (report_.kills % kills_between_readings == 0) deaths_.read();
    pid = start();
  }

  void report_end(const process_end& ended) {
    report_.result = ended.threw() ? verdict::repair_failed : verdict::repair_crashed;
    report_.what = "a worker " + to_string(ended, memory_->failure);
  }

  void stop_all() {
    memory_->stop.store(1);
    for (pid_t& pid : workers_) {
      const process_end ended = wait_for(pid, how_.time_limit);
      pid = 0;
      if (ended.exited(0)) continue;
      if (ended.in_time) return report_end(ended);
      report_.result = verdict::repair_hung;
      report_.what =
          "a worker did not end within " + std::to_string(how_.time_limit.count()) + " ms";
      return;
    }
  }

  void judge_what_is_left() {
    const pid_t pid = start_process(
        [this] {
          const auto registered = register_repairs(what_, seg_);
          const judgement made = judge(what_, seg_, {});
          memory_->result = made.result;
          std::strncpy(memory_->what, made.what.c_str(), failure_bytes - 1);
        },
        memory_->failure);
    const process_end ended = wait_for(pid, how_.time_limit);
    if (ended.exited(0)) {
      report_.result = memory_->result;
      report_.what = memory_->what;
    } else if (!ended.in_time) {
      report_.result = verdict::repair_hung;
      report_.what =
          "the last heir was not done within " + std::to_string(how_.time_limit.count()) + " ms";
    } else {
      report_end(ended);
    }
  }

  const scenario& what_;
  const soak_options& how_;
  segment& seg_;
  soak_memory* memory_;
  std::mt19937_64 random_;
  holders holders_;
  death_counter deaths_;
  std::vector<pid_t> workers_;
  soak_report report_;
};

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  while (seed == 0) {
    if (::getrandom(&seed, sizeof seed, 0) != sizeof seed)
      throw std::system_error(errno, std::generic_category(), "getrandom");
  }
  return seed;
}

}  // namespace

}  // namespace detail

soak_report soak(const scenario& what, const soak_options& how) {
  if (how.workers == 0)
    throw std::invalid_argument("soak_options::workers: found 0, expected at least 1");
  if (!(how.aim >= 0 && how.aim <= 1)) {
    throw std::invalid_argument("soak_options::aim: found " + std::to_string(how.aim) +
                                ", expected a share from 0 to 1");
  }
  if (how.longest_pause.count() < 0) {
    throw std::invalid_argument("soak_options::longest_pause: found " +
                                std::to_string(how.longest_pause.count()) +
                                " us, expected 0 or more");
  }
  soak_options chosen = how;
  if (chosen.seed == 0) chosen.seed = detail::random_seed();
  std::fprintf(stderr, "outlive: soak of %s, seed %llu\n", what.name.c_str(),
               static_cast<unsigned long long>(chosen.seed));
  segment seg = segment::anonymous(what.options);
  if (what.make) what.make(seg);
  return detail::soaker(what, chosen, seg).run();
}

bool soak_report::ok() const noexcept {
  return fault.empty() && result == verdict::ok;
}

std::string soak_report::summary() const {
  std::string text = scenario + ": " + std::to_string(kills) + " kills, " +
                     std::to_string(while_holding) + " of them while holding a lock (" +
                     std::to_string(aimed) + " aimed); repaired " + std::to_string(repairs) +
                     " times in " + std::to_string(rounds) + " rounds (" + detail::in_ms(took) +
                     ", seed " + std::to_string(seed) + ")\n";
  if (result != verdict::ok) text += "  " + std::string(to_string(result)) + ": " + what + '\n';
  if (!fault.empty()) text += "  proves nothing: " + fault + '\n';
  return text;
}

std::ostream& operator<<(std::ostream& to, const soak_report& what) {
  return to << what.summary();
}

}  // namespace outlive::killtest
