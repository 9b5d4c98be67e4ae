// prefork: an HTTP server of several processes. Its workers crash, and its hit counter stays exact.
//
//   prefork [--port N] [--workers N] [--crash-one-in N]
//
// The parent makes the segment and the socket, and forks the workers. A supervisor tells it when
// one has died, wherever that was, and the parent starts another. docs/guide/prefork.md says why it
// is done in this order. With --crash-one-in the workers also crash by themselves, at each of four
// places in one of N cases.
//
// A client that gets no answer cannot know whether its visit was counted. So each visitor numbers
// its visits 1, 2, 3: a visit that is sent again is answered again, and counted once.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <outlive/outlive.hpp>

#include "prefork/http.hpp"
#include "prefork/page.hpp"

namespace {

using clock = std::chrono::steady_clock;

struct settings {
  unsigned short port = 8080;
  unsigned workers = 4;
  unsigned crash_one_in = 0;  // 0: never
};

// ---- what the processes share ------------------------------------------------------------------

struct hit_counter {
  static constexpr long places = 4096;
  long hits = 0;             // invariant: the sum of `visits`
  long visits[places] = {};  // by visitor: the number of the last visit that was counted

  [[nodiscard]] long sum() const {
    return std::accumulate(std::begin(visits), std::end(visits), 0L);
  }
};

// The parent writes these. It may not wait for a mutex that workers hold: a worker that is stopped
// inside would stop the parent, too.
struct board {
  std::atomic<long> deaths, repairs, visitors;
};

// Without that the test must find the counter wrong.
#ifdef BROKEN_REPAIR
constexpr bool repairs_count = false;
#else
constexpr bool repairs_count = true;
#endif

struct shared {
  outlive::segment segment = outlive::segment::anonymous();
  outlive::repair_registration repair = outlive::on_owner_death<hit_counter>(
      segment, "hits", [](hit_counter& x, const outlive::owner_death&) {
        if (repairs_count) x.hits = x.sum();
        return outlive::repaired;
      });
  outlive::guarded<hit_counter>& counter =
      segment.find_or_construct<outlive::guarded<hit_counter>>("counter", "hits");
  board& figures = segment.find_or_construct<board>("board");
};

// ---- a worker ----------------------------------------------------------------------------------

class worker {
 public:
  worker(shared& all, int listener, int signals, unsigned crash_one_in)
      : all_(all),
        listener_(listener),
        signals_(signals),
        crash_one_in_(crash_one_in),
        dice_(static_cast<unsigned>(getpid())) {}

  // Returns when it is asked to end, and has nothing in hand.
  void run() {
    may_crash();
    all_.segment.attach();
    for (;;) {
      pollfd ready[] = {{listener_, POLLIN, 0}, {signals_, POLLIN, 0}};
      if (poll(ready, 2, -1) < 0) continue;
      if (ready[1].revents != 0) return;
      const prefork::connection client(listener_);
      if (client) serve(client);
    }
  }

 private:
  void may_crash() {
    if (crash_one_in_ == 0 || dice_() % crash_one_in_ != 0) return;
    switch (dice_() % 3) {
      case 0: std::abort();
      case 1: _exit(1);
      default: raise(SIGKILL);
    }
  }

  void serve(const prefork::connection& client) {
    const auto target = client.read_target();
    if (!target) return;
    const auto half_sent = [this] { may_crash(); };
    if (*target == "/") {
      const long visitor = all_.figures.visitors.fetch_add(1);
      if (visitor >= hit_counter::places)
        return client.answer("503 Service Unavailable", "text/plain", "no place is left\n",
                             half_sent);
      std::string page = prefork::page;
      constexpr std::string_view mark = "@visitor@";
      page.replace(page.find(mark), mark.size(), std::to_string(visitor));
      client.answer("200 OK", "text/html", page, half_sent);
    } else if (target->starts_with("/hit?")) {
      const auto [status, body] = hit(prefork::number_in(*target, "visitor").value_or(-1),
                                      prefork::number_in(*target, "visit").value_or(-1));
      may_crash();  // it is counted, and the client does not know
      client.answer(status, "application/json", body, half_sent);
    } else {
      client.answer("404 Not Found", "text/plain", "there is only one page: /\n", half_sent);
    }
  }

  // Returns: the status, and the body.
  std::pair<std::string, std::string> hit(long visitor, long visit) {
    if (visitor < 0 || visitor >= hit_counter::places)
      return {"400 Bad Request", R"({"error": "there is no such visitor"})"};
    auto x = all_.counter.lock();
    long& last = x->visits[visitor];
    if (visit != last && visit != last + 1)
      return {"409 Conflict",
              R"({"error": "the next visit is )" + std::to_string(last + 1) + "\"}"};
    if (visit == last + 1) {
      last = visit;
      may_crash();  // invariant: broken
      ++x->hits;
    }
    const board& now = all_.figures;
    return {"200 OK", R"({"hits": )" + std::to_string(x->hits) + R"(, "worker": )" +
                          std::to_string(getpid()) + R"(, "deaths": )" +
                          std::to_string(now.deaths) + R"(, "repairs": )" +
                          std::to_string(now.repairs) + "}\n"};
  }

  shared& all_;
  const int listener_;
  const int signals_;
  const unsigned crash_one_in_;
  std::minstd_rand dice_;
};

// ---- the parent --------------------------------------------------------------------------------

class parent {
 public:
  explicit parent(const settings& wanted)
      : wanted_(wanted),
        signals_(signals_to_read()),
        listener_(prefork::listen_on(wanted.port)),
        watch_(all_.segment, {.reap_children = true}) {
    watch_.on_death([this](const outlive::participant_death& death) { note(death); });
    watch_.on_error([](const std::system_error& error) { std::puts(error.what()); });
  }

  // Returns: whether the counter is right in the end.
  bool run() {
    std::printf("http://127.0.0.1:%d/\n", prefork::port_of(listener_));
    while (!ending_ || !workers_.empty()) {
      while (!ending_ && workers_.size() < wanted_.workers && start()) {
      }
      pollfd ready[] = {{watch_.fd(), POLLIN, 0}, {signals_, POLLIN, 0}};
      if (poll(ready, 2, patience()) < 0) continue;
      if (ready[0].revents != 0) watch_.dispatch();
      if (ready[1].revents != 0) end();
      if (ending_ && clock::now() >= *ending_) signal_workers(SIGKILL);
    }
    const auto x = all_.counter.lock();
    std::printf("%ld hits, %ld visits; %ld workers died, %ld repairs\n", x->hits, x->sum(),
                all_.figures.deaths.load(), all_.figures.repairs.load());
    return x->hits == x->sum();
  }

 private:
  static int signals_to_read() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, nullptr);  // in the workers, too
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }

  // Returns: whether there is one worker more.
  bool start() {
    const pid_t self = getpid();
    const pid_t pid = fork();
    if (pid < 0) return std::perror("fork"), false;  // run() tries again
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != self) _exit(1);  // the parent died before the line above
      // Nothing of the parent's may be flushed or destroyed here: so no exit(), and no exception
      // that unwinds into run().
      try {
        worker(all_, listener_, signals_, wanted_.crash_one_in).run();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "worker %d: %s\n", getpid(), error.what());
        _exit(1);
      }
      _exit(0);
    }
    watch_.add_child(pid);
    workers_.push_back(pid);
    std::printf("worker %d: started\n", pid);
    return true;
  }

  // Called by dispatch(). If the kernel takes long to end a process, its thread is reported first
  // (tid is not 0). With the process it has reaped the child: then the pid is no worker's any more.
  void note(const outlive::participant_death& death) {
    std::puts(to_string(death).c_str());
    all_.figures.repairs += std::count_if(
        death.recovered.begin(), death.recovered.end(), [](const outlive::recovered_mutex& each) {
          return each.outcome == outlive::recovery_outcome::repaired;
        });
    if (death.tid != 0) return;
    all_.figures.deaths += death.exit_code == 0 ? 0 : 1;
    std::erase(workers_, death.pid);
  }

  void end() {
    signalfd_siginfo info{};
    if (read(signals_, &info, sizeof info) != sizeof info || ending_) return;
    ending_ = clock::now() + std::chrono::seconds(5);
    signal_workers(SIGTERM);
  }

  // The pids are those of children that are not reaped yet: of no other process.
  void signal_workers(int signal) {
    for (const pid_t pid : workers_) kill(pid, signal);
  }

  [[nodiscard]] int patience() const {
    if (ending_ || workers_.size() < wanted_.workers) return 100;
    return -1;
  }

  const settings wanted_;
  const int signals_;
  const int listener_;
  shared all_;
  outlive::supervisor watch_;
  std::vector<pid_t> workers_;
  std::optional<clock::time_point> ending_;  // then those that are left are killed
};

// ---- the command line --------------------------------------------------------------------------

template <class Number>
bool read_number(std::string_view text, Number& number, Number least, Number most) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= least &&
         number <= most;
}

std::optional<settings> parse(int argc, char** argv) {
  settings wanted;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    const bool good =
        (name == "--port" && read_number<unsigned short>(value, wanted.port, 0, 65535)) ||
        (name == "--workers" && read_number(value, wanted.workers, 1U, 64U)) ||
        (name == "--crash-one-in" && read_number(value, wanted.crash_one_in, 2U, 1'000'000U));
    if (!good) return std::nullopt;
  }
  return wanted;
}

}  // namespace

int main(int argc, char** argv) {
  const auto wanted = parse(argc, argv);
  if (!wanted) {
    std::fputs(
        "Usage: prefork [--port N] [--workers N] [--crash-one-in N]\n"
        "--port 0 to 65535 (0: any that is free), --workers 1 to 64, --crash-one-in 2 to 1000000\n",
        stderr);
    return 2;
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);  // these crashes are meant
  try {
    return parent(*wanted).run() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "prefork: %s\n", error.what());
    return 3;
  }
}
