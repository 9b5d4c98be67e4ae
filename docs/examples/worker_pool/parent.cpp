#include "worker_pool/parent.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <thread>

#include "worker_pool/worker.hpp"

namespace pool {

namespace {

using namespace std::chrono_literals;

constexpr auto longest_pause = 40ms;  // between two kills
constexpr auto longest_aim = 5ms;     // until a worker has a lock
constexpr auto longest_watch_of_heirs = 1ms;
constexpr auto longest_break = 2ms;  // of the workers, between two passes

volatile sig_atomic_t stop_asked = 0;

void ask_to_stop(int) {
  stop_asked = 1;
}

void heed_signals() {
  struct sigaction action {};
  action.sa_handler = ask_to_stop;  // without SA_RESTART, so that waits end
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
}

void throw_if_asked_to_stop() {
  if (stop_asked != 0) throw interrupted();
}

// A pool must not outlive the parent that feeds it. Ctrl-C reaches all processes of a terminal, and
// `timeout` signals a whole group: the parent decides alone.
void become_worker(pid_t parent_pid) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent_pid) ::_exit(1);  // it died before the line above
  for (const int signal : {SIGINT, SIGTERM}) ::signal(signal, SIG_IGN);
}

// Leaves the status and the pid for wait_for().
void wait_for_end(pid_t pid) {
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == -1) {
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "waitid");
  }
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) == -1) {
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "waitpid");
  }
  return status;
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return std::string("was ended by ") + ::strsignal(WTERMSIG(status));
  return "ended with exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

parent::parent(shared& all, const std::vector<std::string_view>& chunks, const options& wishes)
    : all_(all),
      chunks_(chunks),
      wishes_(wishes),
      dice_(wishes.seed),
      watch_(all.segment),
      progress_(wishes.kills),
      pids_(wishes.workers + 1),
      lines_read_(all.shards.size()) {
  watch_.on_death([this](const outlive::participant_death& death) { check(death); });
}

parent::~parent() {
  for (const pid_t pid : pids_) {
    if (pid != 0) ::kill(pid, SIGKILL);
  }
  for (const pid_t pid : pids_) {
    if (pid != 0) ::waitpid(pid, nullptr, 0);
  }
}

figures parent::run() {
  heed_signals();
  feed();
  for (unsigned number = 1; number <= wishes_.workers; ++number) start(number);
  while (figures_.kills < wishes_.kills) {
    wait_a_moment(
        std::chrono::microseconds(dice_() % std::chrono::microseconds(longest_pause).count()));
    kill_somebody();
  }
  finish();
  return figures_;
}

void parent::start(unsigned number) {
  // Not in the child: if it were killed before that, it would seem to have died in its
  // predecessor's activity.
  all_.seat_of(number).now = activity::counting;
  const pid_t self = ::getpid();
  const pid_t pid = ::fork();
  if (pid == -1) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid == 0) {
    become_worker(self);
    ::_exit(work(all_, chunks_, number));
  }
  pids_[number] = pid;
}

// ---- jobs --------------------------------------------------------------------------------------

// One pass after the other: a shard keeps the last pass of each chunk, and refuses earlier ones.
void parent::feed() {
  ++figures_.passes;
  for (std::uint32_t chunk = 0; chunk < chunks_.size(); ++chunk)
    all_.jobs->push({chunk, figures_.passes});
}

// A chunk whose workers died several times is tried again: we killed them, not the chunk.
bool parent::pass_is_done() {
  while (auto letter = all_.jobs->pop_dead_letter()) letter.retry();
  const auto jobs = all_.jobs->counts();
  return jobs.waiting == 0 && jobs.leased == 0;
}

// ---- killing -----------------------------------------------------------------------------------

void parent::kill_somebody() {
  std::vector<casualty> dead;
  dead.push_back(shoot(choose_victim()));
  if (figures_.kills < wishes_.kills && dice_() % 2 == 0) {
    // A worker that inherits a lock now is in its repair, and the repair must survive a kill, too.
    if (const auto heir = watch_for(activity::repairing, longest_watch_of_heirs))
      dead.push_back(shoot(*heir));
  }
  for (casualty& one : dead) reap(one);
  read_repair_lines();
  for (const casualty& one : dead) start(one.number);
}

// One kill of four hits any worker at any time; the others wait until a worker holds a lock.
unsigned parent::choose_victim() {
  if (dice_() % 4 != 0) {
    if (const auto holder = watch_for(activity::merging, longest_aim)) return *holder;
  }
  return 1 + static_cast<unsigned>(dice_() % wishes_.workers);
}

std::optional<unsigned> parent::watch_for(activity wanted, std::chrono::microseconds limit) {
  const unsigned first = static_cast<unsigned>(dice_() % wishes_.workers);
  const auto end = clock::now() + limit;
  do {
    for (unsigned i = 0; i < wishes_.workers; ++i) {
      const unsigned number = 1 + (first + i) % wishes_.workers;
      if (pids_[number] != 0 && all_.seat_of(number).now == wanted) return number;
    }
  } while (clock::now() < end);
  return std::nullopt;
}

parent::casualty parent::shoot(unsigned number) {
  const casualty victim{number, pids_[number], clock::now()};
  if (::kill(victim.pid, SIGKILL) == -1)
    throw std::system_error(errno, std::generic_category(), "kill");
  pids_[number] = 0;  // so that it is not shot again; reap() waits for it
  ++figures_.kills;
  return victim;
}

// Only now is it known what the worker was doing: it continued between the look at its seat and the
// kill.
void parent::reap(casualty& dead) {
  wait_for_end(dead.pid);
  watch_.dispatch();  // the supervisor recovers what it held
  const int status = wait_for(dead.pid);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
    throw std::runtime_error("worker " + std::to_string(dead.number) + " " + how_it_ended(status) +
                             " before it was killed");
  }
  dead.last = all_.seat_of(dead.number).now;
  if (dead.last == activity::merging) {
    ++figures_.killed_holding;
    ++figures_.unanswered;  // until its repair is seen
  }
  if (dead.last == activity::repairing) ++figures_.killed_repairing;
  casualties_[dead.pid] = dead;
}

// ---- recovery ----------------------------------------------------------------------------------

void parent::check(const outlive::participant_death& death) {
  for (const auto& found : death.recovered) {
    if (found.outcome == outlive::recovery_outcome::unrepaired ||
        found.outcome == outlive::recovery_outcome::not_recoverable) {
      throw std::runtime_error(found.mutex_name + " of worker " + std::to_string(found.pid) +
                               " is " + std::string(to_string(found.outcome)) + ": " +
                               found.error.message());
    }
  }
}

void parent::read_repair_lines() {
  for (std::size_t i = 0; i < all_.shards.size(); ++i) {
    const auto table = all_.shards[i]->lock();
    const std::uint64_t written = table->repairs();
    const std::uint64_t kept = std::min<std::uint64_t>(written - lines_read_[i], shard::kept_lines);
    figures_.repairs += written - lines_read_[i];
    for (std::uint64_t number = written - kept; number < written; ++number)
      note_repair(table->line(number));
    lines_read_[i] = written;
  }
}

void parent::note_repair(const repair_line& line) {
  if (line.how == mended::rolled_back) ++figures_.rolled_back;
  if (line.how == mended::rolled_forward) ++figures_.rolled_forward;
  const auto owner = casualties_.find(line.dead_owner);
  if (owner == casualties_.end()) return;
  figures_.recovery_times.push_back(std::chrono::nanoseconds(line.ended_ns) -
                                    owner->second.killed_at.time_since_epoch());
  if (owner->second.last == activity::merging) --figures_.unanswered;
  casualties_.erase(owner);
}

// ---- waiting -----------------------------------------------------------------------------------

void parent::wait_a_moment(std::chrono::microseconds moment) {
  const auto end = clock::now() + moment;
  for (auto now = clock::now(); now < end; now = clock::now()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        std::min<clock::duration>(end - now, longest_break));
    pollfd due{watch_.fd(), POLLIN, 0};
    if (::poll(&due, 1, static_cast<int>(left.count())) == 1) watch_.dispatch();
    if (pass_is_done()) feed();
  }
  look_after(false);
}

// Returns: whether workers still run.
bool parent::look_after(bool may_end) {
  throw_if_asked_to_stop();
  bool some_run = false;
  std::uint64_t chunks = 0;
  for (unsigned number = 1; number <= wishes_.workers; ++number) {
    chunks += all_.seat_of(number).chunks;
    int status = 0;
    if (pids_[number] != 0 && ::waitpid(pids_[number], &status, WNOHANG) == pids_[number]) {
      pids_[number] = 0;
      if (status != 0 || !may_end)
        throw std::runtime_error("worker " + std::to_string(number) + " " + how_it_ended(status));
    }
    some_run = some_run || pids_[number] != 0;
  }
  progress_.show(figures_.kills, figures_.killed_holding, chunks);
  return some_run;
}

void parent::finish() {
  while (!pass_is_done()) {
    look_after(false);
    std::this_thread::sleep_for(longest_break);
  }
  for (unsigned i = 0; i < wishes_.workers; ++i) all_.jobs->push({no_chunk, figures_.passes});
  while (look_after(true)) std::this_thread::sleep_for(longest_break);
  watch_.dispatch();
  read_repair_lines();
}

}  // namespace pool
