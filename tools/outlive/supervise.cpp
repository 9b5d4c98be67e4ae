// outlive supervise: watches a segment, recovers at once what the dead held, and logs it; keeps workers running if asked to.
// docs/man/outlive-supervise.1.scd
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <thread>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <outlive/error.hpp>
#include <outlive/live_stack.hpp>
#include <outlive/supervisor.hpp>

#include "commands.hpp"
#include "looks.hpp"
#include "repairs.hpp"
#include "supervise/notify.hpp"
#include "supervise/workers.hpp"

namespace commands {

namespace {

using clock = std::chrono::steady_clock;

struct supervise_settings {
  std::string segment;
  std::string repairs;
  std::size_t respawn = 0;
  std::vector<std::string> command;
};

constexpr std::chrono::seconds grace(5);      // for the workers, to end in order
constexpr std::chrono::seconds patience(10);  // for the workers, to make the segment

// The signals that end the command, and SIGCHLD, as something to poll.
class signal_descriptor {
 public:
  signal_descriptor() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int each : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::sigaddset(&set, each);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
  }
  signal_descriptor(const signal_descriptor&) = delete;
  signal_descriptor& operator=(const signal_descriptor&) = delete;
  ~signal_descriptor() { ::close(fd_); }

  [[nodiscard]] int fd() const noexcept { return fd_; }
  // Returns: whether one that ends the command came.
  [[nodiscard]] bool asked_to_end() const noexcept {
    bool asked = false;
    signalfd_siginfo one{};
    while (::read(fd_, &one, sizeof one) == static_cast<ssize_t>(sizeof one)) asked = asked || one.ssi_signo != SIGCHLD;
    return asked;
  }

 private:
  int fd_ = -1;
};

void log(const outlive::participant_death& death) {
  std::string text = printable(to_string(death)) + "\n";
  for (const auto& each : death.recovered) {
    text += printable(fmt::format("  {} of class {}: {}{}", each.mutex_name, each.lock_class, to_string(each.outcome),
                                  each.error ? ": " + each.error.message() : std::string())) +
            "\n";
  }
  for (const auto& thread : death.threads) {
    if (!thread.crash) continue;
    outlive::crash_report crash = *thread.crash;
    name_functions(crash);
    text += printable(fmt::format("  tid {}: {}", thread.who.tid, to_string(crash))) + "\n";
    for (const auto& frame : crash.frames) text += "    " + printable(to_string(frame)) + "\n";
  }
  write_result(text);
}

// How long to poll: until a start or a word to the watchdog is due.
int milliseconds_until(std::optional<clock::time_point> start, std::optional<clock::time_point> watchdog) {
  if (!start && !watchdog) return -1;
  const auto next = start && watchdog ? std::min(*start, *watchdog) : start ? *start : *watchdog;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - clock::now()).count();
  return static_cast<int>(std::clamp<long>(left, 0, 3'600'000));
}

// The workers may be the ones that make the segment.
outlive::segment open_when_there(const supervise_settings& wanted, supervise::worker_pool& workers) {
  constexpr std::chrono::milliseconds slice(20);
  const auto give_up = clock::now() + patience;
  for (;;) {
    workers.tend();
    try {
      return repairs::open_segment(wanted.segment);
    } catch (const std::system_error& error) {
      if (wanted.respawn == 0 || error.code() != outlive::errc::not_found || clock::now() >= give_up) throw;
    }
    std::this_thread::sleep_for(slice);
  }
}

int supervise_command(const supervise_settings& wanted) {
  const signal_descriptor signals;
  const supervise::service_manager manager;
  supervise::worker_pool workers(wanted.respawn, wanted.command);
  outlive::segment segment = open_when_there(wanted, workers);
  const auto plugin = repairs::load(segment, wanted.repairs);
  outlive::supervisor_options options;
  options.stacks = outlive::live_stack;
  outlive::supervisor watch(segment, options);
  watch.on_death(log);
  watch.on_error([](const std::system_error& error) { fmt::print(stderr, "outlive supervise: {}\n", error.what()); });
  watch.on_deadlock([](const outlive::deadlock& found) { write_result(printable(to_string(found)) + "\n"); });
  watch.dispatch();

  manager.tell("READY=1");
  // Half the time that the manager allows, and only from this loop: if it stands still, the manager is to know.
  std::optional<clock::time_point> next_word;
  if (manager.watchdog()) next_word = clock::now();
  for (;;) {
    if (next_word && clock::now() >= *next_word) {
      manager.tell("WATCHDOG=1");
      next_word = clock::now() + *manager.watchdog() / 2;
    }
    workers.tend();
    pollfd ready[] = {{signals.fd(), POLLIN, 0}, {watch.fd(), POLLIN, 0}};
    if (::poll(ready, 2, milliseconds_until(workers.next_start(), next_word)) < 0 && errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "poll");
    }
    if (ready[1].revents != 0) watch.dispatch();
    if (signals.asked_to_end()) break;
  }
  manager.tell("STOPPING=1");
  workers.end(grace);
  watch.dispatch();  // what the workers left behind
  return fine;
}

}  // namespace

void add_supervise(CLI::App& tool, int& exit_code) {
  CLI::App& command = *tool.add_subcommand("supervise", "Watch a segment, and recover at once what the dead held");
  const auto wanted = std::make_shared<supervise_settings>();
  looks::add_segment_argument(command, wanted->segment);
  repairs::add_option(command, wanted->repairs);
  auto* const respawn = command.add_option("--respawn", wanted->respawn, "Keep N copies of a program running: --respawn N -- PROGRAM [ARGS...]")
                            ->type_name("N")
                            ->check(CLI::Range(1, 1024));
  command.add_option("command", wanted->command, "The program, and its arguments")->type_name("-- PROGRAM [ARGS...]")->needs(respawn);
  command.callback([wanted, &exit_code] {
    if (wanted->respawn != 0 && wanted->command.empty()) throw CLI::ValidationError("--respawn", "expected a program behind --");
    exit_code = supervise_command(*wanted);
  });
}

}  // namespace commands
