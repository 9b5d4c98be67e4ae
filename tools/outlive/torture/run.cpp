#include "torture/run.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>

#include <outlive/outlive.hpp>

#include "inspect.hpp"
#include "torture/check.hpp"
#include "torture/deaths.hpp"
#include "torture/killer.hpp"
#include "torture/locks.hpp"
#include "torture/report.hpp"
#include "torture/workers.hpp"

namespace torture {

namespace {

// If ten workers in a row, without a kill in between, end by themselves within a second of their
// start, the next one would, too.
constexpr auto at_once = std::chrono::seconds(1);
constexpr unsigned at_once_limit = 10;
// While a death is open, and while none is.
constexpr nanoseconds short_sleep = std::chrono::microseconds(100),
                      long_sleep = std::chrono::milliseconds(20);
// The segment's death log holds 256 entries.
constexpr auto log_interval = std::chrono::milliseconds(20);
constexpr auto progress_interval = std::chrono::milliseconds(200);

// If a kill takes longer than the pause to the next one, the following ones are late. They catch
// up, but not with more than this.
constexpr unsigned kills_to_catch_up = 10;

struct run_aborted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class torture_run {
 public:
  torture_run(const settings& wanted, signals& incoming)
      : wanted_(wanted), incoming_(incoming), workers_(wanted, incoming), check_(wanted) {}

  statistics operator()() {
    // an error other than "not found" shows before anything is started
    std::optional<outlive::segment> segment = open();
    for (std::size_t index = 0; index < wanted_.workers; ++index) workers_.start(index);
    try {
      begin(segment);
      if (segment && incoming_.ending() == 0) kill_for_a_while(*segment);
    } catch (const run_aborted& reason) {
      if (stats_.kills == 0) throw;
      stats_.problems.emplace_back(reason.what());
    }
    end_workers();
    stats_.interrupted = incoming_.ending();
    if (segment && !keeps_image()) recover(*segment);
    if (!wanted_.check.empty() && stats_.interrupted == 0 && !has_failed()) run_check();
    if (segment && keeps_image()) keep_image(*segment);
    stats_.check = check_.result();
    find_problems();
    return std::move(stats_);
  }

 private:
  std::optional<outlive::segment> open() const {
    try {
      return outlive::segment::open(wanted_.segment);
    } catch (const std::system_error& error) {
      if (error.code() != outlive::errc::not_found) throw;
      return std::nullopt;
    }
  }

  // Waits for the segment, which the workers may create.
  void begin(std::optional<outlive::segment>& segment) {
    const auto limit = clock::now() + wanted_.start_limit;
    while (incoming_.ending() == 0) {
      collect();
      if (!segment) segment = open();
      if (segment) return;
      if (clock::now() >= limit) {
        throw std::runtime_error(
            fmt::format("segment '{}': {} not created it within {:g} s", wanted_.segment,
                        counted(wanted_.workers, "worker has", "workers have"),
                        std::chrono::duration<double>(wanted_.start_limit).count()));
      }
      incoming_.wait(std::chrono::milliseconds(1));
    }
  }

  void kill_for_a_while(const outlive::segment& segment) {
    lock_list locks(segment);
    pending_deaths deaths;
    log_counter log(segment);
    killer killing(wanted_, segment, incoming_, workers_, locks, deaths, stats_);
    progress shown(wanted_);
    const auto began = clock::now(), end = began + wanted_.duration;
    auto next_kill = began + killing.pause(), next_log = began, next_progress = began;
    auto next_check = began + wanted_.check_every;
    may_end_ = [&](std::size_t index) { return killing.may_end(index); };
    const auto finish = [&] {
      stats_.duration = clock::now() - began;
      deaths.finish(clock::now(), locks, stats_);
      log.read();
      log.count(stats_);
      end_workers();
    };
    try {
      for (auto now = began; (now < end || check_.runs()) && incoming_.ending() == 0;
           now = clock::now()) {
        collect();
        deaths.update(now, stats_);
        if (check_.runs()) {
          // Nobody is killed meanwhile. The workers go on: the check may wait for their mutexes.
          if (check_.fetch_end(incoming_)) {
            ++stats_.checks;
            next_check = now + wanted_.check_every;
            next_kill = now;
          }
        } else if (wanted_.check_every.count() > 0 && now >= next_check) {
          check_.start();
        } else if (now >= next_kill) {
          const std::uint64_t before = stats_.kills;
          killing.kill_next();
          if (stats_.kills != before) ends_in_a_row_ = 0;
          next_kill =
              std::max(next_kill, now - kills_to_catch_up * wanted_.every) + killing.pause();
        }
        if (has_failed()) break;
        if (now >= next_log) {
          log.read();
          next_log = now + log_interval;
        }
        if (now >= next_progress) {
          shown.show(stats_, now - began);
          next_progress = now + progress_interval;
        }
        const nanoseconds idle = deaths.empty() ? long_sleep : short_sleep;
        incoming_.wait(check_.runs() ? idle
                                     : std::min<nanoseconds>(next_kill - clock::now(), idle));
      }
    } catch (const run_aborted&) {
      finish();
      throw;
    }
    finish();
  }

  // Reaps the workers that have ended and starts others in their place.
  void collect() {
    for (const worker_end& end : workers_.reap_ended()) {
      if (!end.by_us) check_own_end(end);
      workers_.start(end.index);
      ++stats_.restarts;
    }
  }

  void check_own_end(const worker_end& end) {
    count_own_end(end);
    ends_in_a_row_ = end.lived < at_once ? ends_in_a_row_ + 1 : 0;
    if (ends_in_a_row_ < at_once_limit) return;
    throw run_aborted(
        fmt::format("worker '{}': {} in a row ended by themselves within a second (the last: {}); "
                    "a worker must run until it is killed",
                    wanted_.command.front(), ends_in_a_row_, status_text(end.status)));
  }

  void count_own_end(const worker_end& end) {
    if (end.status == 0) {
      ++stats_.finished;
    } else {
      ++stats_.own_ends[status_text(end.status)];
    }
  }

  // The data must stay as it is: nothing is repaired after the failure, and no worker ends cleanly.
  void end_workers() {
    if (keeps_image()) workers_.kill_all();
    for (const worker_end& end : workers_.end_all(wanted_.grace, may_end_)) check_last_end(end);
    may_end_ = [](std::size_t) { return true; };
  }

  // After SIGTERM a worker may exit with any code, but not crash.
  void check_last_end(const worker_end& end) {
    if (!end.by_us && WIFSIGNALED(end.status) && WTERMSIG(end.status) != SIGTERM)
      count_own_end(end);
  }

  // Whether the run ends here. Failures of workers are counted if no image is wanted of the first.
  [[nodiscard]] bool has_failed() const noexcept {
    return check_.has_failed() || (!wanted_.keep.empty() && !stats_.own_ends.empty());
  }
  [[nodiscard]] bool keeps_image() const noexcept { return !wanted_.keep.empty() && has_failed(); }

  void keep_image(const outlive::segment& segment) {
    std::error_code error;
    if (!segment.has_name()) {
      error = make_error_code(outlive::errc::not_found);
    } else {
      std::filesystem::copy_file(inspect::path_of(wanted_.segment), wanted_.keep,
                                 std::filesystem::copy_options::overwrite_existing, error);
    }
    if (error) {
      stats_.problems.push_back(
          fmt::format("the image was not kept in '{}': {}", wanted_.keep, error.message()));
    } else {
      stats_.image = wanted_.keep;
    }
  }

  void run_check() {
    check_.run(incoming_);
    ++stats_.checks;
  }

  void recover(outlive::segment& segment) {
    for (const outlive::recovered_mutex& line : outlive::recover(segment))
      ++stats_.left[std::string(to_string(line.outcome))];
  }

  void find_problems() {
    auto& problems = stats_.problems;
    for (const auto& [status, number] : stats_.own_ends) {
      problems.push_back(fmt::format("{} ended by {}: {}", counted(number, "worker"),
                                     number == 1 ? "itself" : "themselves", status));
    }
    for (const char* outcome : {"failed", "unrepaired", "not recoverable"}) {
      if (const auto found = stats_.logged.find(outcome); found != stats_.logged.end()) {
        problems.push_back(fmt::format("deaths that a worker met but did not repair ({}): {}",
                                       outcome, found->second));
      }
    }
    if (check_.has_failed()) problems.push_back("the check failed: " + stats_.check);
    if (stats_.interrupted != 0) return;
    if (stats_.kills == 0) {
      problems.emplace_back("no worker was killed: nothing was tested");
    } else if (stats_.kills_holding == 0) {
      problems.emplace_back(
          "no worker was killed while holding a mutex: no recovery was tested; try a longer run, "
          "or --aim");
    }
  }

  const settings& wanted_;
  signals& incoming_;
  worker_set workers_;
  user_check check_;
  statistics stats_;
  unsigned ends_in_a_row_ = 0;
  std::function<bool(std::size_t)> may_end_ = [](std::size_t) { return true; };
};

}  // namespace

statistics run(const settings& wanted, signals& incoming) {
  return torture_run(wanted, incoming)();
}

}  // namespace torture
