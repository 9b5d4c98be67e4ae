#include "killtest/deaths/victim_death.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "killtest/process/child_process.hpp"
#include "killtest/state/private_view.hpp"
#include "killtest/trace/fault_scout.hpp"

namespace outlive::killtest::detail {

namespace {

constexpr int came_to_its_end = 114;
constexpr int did_not_die = 115;
constexpr int slower = 10;  // times the limit of an heir

// Both ends close on exec.
struct pipe_ends {
  int read = -1;
  int write = -1;

  pipe_ends() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      throw std::system_error(errno, std::generic_category(), "pipe2");
    read = above_standard(ends[0]);
    write = above_standard(ends[1]);
    if (read >= 0 && write >= 0) return;
    const int error = errno;
    close_read();
    close_write();
    throw std::system_error(error, std::generic_category(), "pipe2");
  }
  ~pipe_ends() {
    close_read();
    close_write();
  }
  pipe_ends(const pipe_ends&) = delete;
  pipe_ends& operator=(const pipe_ends&) = delete;
  void close_read() noexcept {
    if (read >= 0) ::close(std::exchange(read, -1));
  }
  void close_write() noexcept {
    if (write >= 0) ::close(std::exchange(write, -1));
  }
};

// ---- in the process that dies ------------------------------------------------------------------

struct planned_death {
  death_kind kind;
  segment& seg;
  const workload& what;
  std::size_t stores;
  const memory_group* group;
  pipe_ends& hold;  // a process that lives on waits until it is closed
};

sigjmp_buf way_back;  // of the thread that dies

void leave_the_handler() {
  ::siglongjmp(way_back, 1);
}

bool on_second_thread(death_kind kind) noexcept {
  return kind == death_kind::exception || kind == death_kind::thread_exit ||
         kind == death_kind::exec_from_thread;
}

bool lives_on(death_kind kind) noexcept {
  return kind == death_kind::thread_exit || kind == death_kind::exec ||
         kind == death_kind::exec_from_thread;
}

[[noreturn]] void become_another_program(int input) {
  ::dup2(input, STDIN_FILENO);
  ::execl("/bin/sh", "sh", "-c", "read -r line", static_cast<char*>(nullptr));
  ::_exit(did_not_die);
}

[[noreturn]] void use_up_the_cpu() {
  const rlimit one{1, 2};
  ::setrlimit(RLIMIT_CPU, &one);
  for (volatile unsigned count = 0;;) count = count + 1;
}

[[noreturn]] void die(const planned_death& plan) {
  switch (plan.kind) {
    case death_kind::sigkill: ::kill(::getpid(), SIGKILL); break;
    case death_kind::segv: {
      int* volatile nowhere = nullptr;
      *static_cast<volatile int*>(nowhere) = 0;
      break;
    }
    case death_kind::abort: std::abort();
    case death_kind::exit_now: ::_exit(1);
    case death_kind::exception:
      std::set_terminate([] { std::abort(); });  // without libstdc++'s message
      throw std::runtime_error("a victim's death");
    case death_kind::thread_exit: ::pthread_exit(nullptr);
    case death_kind::exec:
    case death_kind::exec_from_thread: become_another_program(plan.hold.read);
    case death_kind::cpu_limit: use_up_the_cpu();
    case death_kind::memory_limit: plan.group->die_in_it(did_not_die);
  }
  ::_exit(did_not_die);
}

// As in a program that handles no signals, so that the death is of the planned kind.
void restore_signals() noexcept {
  for (const int each : {SIGSEGV, SIGTRAP, SIGABRT, SIGXCPU}) ::signal(each, SIG_DFL);
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
}

void run(const planned_death& plan) {
  static store_log log;
  // Never destroyed: a dying thread unregisters nothing.
  static const auto* const registered = new std::vector<repair_registration>(plan.what.set_up());
  static_cast<void>(registered);
  const fault_kill at{plan.stores, false, &leave_the_handler};
  begin_logging(engine::page_protection, log, base_of(plan.seg), plan.seg.size_bytes(), -1, &at);
  if (sigsetjmp(way_back, 1) != 0) {
    // This has left the handler and the functions of the victim, without unwinding them.
    restore_signals();
    die(plan);
  }
  plan.what.tested();
  ::_exit(came_to_its_end);
}

extern "C" void* run_on_thread(void* plan) {
  run(*static_cast<const planned_death*>(plan));
  return nullptr;
}

void run_on_second_thread(planned_death& plan, int notice) {
  pthread_t thread;
  const int error = ::pthread_create(&thread, nullptr, &run_on_thread, &plan);
  if (error != 0) throw std::system_error(error, std::generic_category(), "pthread_create");
  ::pthread_join(thread, nullptr);
  if (::write(notice, "t", 1) != 1) ::_exit(did_not_die);
  ::close(notice);
  char nothing;
  while (::read(plan.hold.read, &nothing, 1) < 0 && errno == EINTR) {
  }
}

// ---- in the process that waits -----------------------------------------------------------------

std::string why_not(death_kind kind, const process_end& ended, const char* failure) {
  if (ended.exited(came_to_its_end)) return "it came to its end";
  if (ended.exited(did_not_die)) return "it could not die like this";
  const auto by = [&](int signal) { return ended.signalled() && ended.signal() == signal; };
  const bool expected = [&] {
    switch (kind) {
      case death_kind::sigkill:
      case death_kind::memory_limit: return by(SIGKILL);
      case death_kind::segv: return by(SIGSEGV);
      case death_kind::abort:
      case death_kind::exception: return by(SIGABRT);
      case death_kind::exit_now: return ended.exited(1);
      case death_kind::cpu_limit: return by(SIGXCPU) || by(SIGKILL);
      case death_kind::thread_exit:
      case death_kind::exec:
      case death_kind::exec_from_thread: return false;
    }
    return false;
  }();
  return expected ? std::string() : "it " + to_string(ended, failure);
}

bool is_another_program(pid_t pid) {
  char ours[4096];
  char others[sizeof ours];
  const ssize_t mine = ::readlink("/proc/self/exe", ours, sizeof ours);
  const ssize_t its =
      ::readlink(("/proc/" + std::to_string(pid) + "/exe").c_str(), others, sizeof others);
  return mine > 0 && its > 0 &&
         (mine != its || std::memcmp(ours, others, static_cast<std::size_t>(mine)) != 0);
}

// Requires: the pipe has a letter, or is closed. Returns: whether the process lives on, as this
//   kind of death leaves it.
bool has_survived_its_thread(death_kind kind, pid_t pid, int notice) {
  if (!lives_on(kind)) return false;
  char letter = 0;
  return kind == death_kind::thread_exit ? ::read(notice, &letter, 1) == 1
                                         : is_another_program(pid);
}

}  // namespace

victim_death::victim_death(death_kind kind, segment& seg, const segment_copy& copy,
                           const workload& what, std::size_t stores, const memory_group* group,
                           std::chrono::milliseconds limit) {
  pipe_ends hold;
  // closed by the death: of the process, by exec, or by the main thread when the other thread is
  // gone
  pipe_ends notice;
  shared_text failure;
  pid_ = start_process(
      [&] {
        hold.close_write();
        notice.close_read();
        map_view_of(seg, copy.fd());
        planned_death plan{kind, seg, what, stores, group, hold};
        if (on_second_thread(kind)) {
          run_on_second_thread(plan, notice.write);
        } else {
          run(plan);
        }
      },
      failure.text());
  hold.close_read();
  notice.close_write();
  const bool in_time = wait_readable(notice.read, limit * slower);
  if (in_time && has_survived_its_thread(kind, pid_, notice.read)) {
    hold_ = std::exchange(hold.write, -1);
    return;
  }
  const process_end ended = wait_for(pid_, in_time ? limit * slower : std::chrono::milliseconds(0));
  pid_ = 0;
  fault_ = why_not(kind, ended, failure.text());
}

victim_death::~victim_death() {
  if (pid_ == 0) return;
  ::close(hold_);
  try {
    static_cast<void>(wait_for(pid_, std::chrono::milliseconds(2000)));
  } catch (const std::system_error&) {
  }
}

}  // namespace outlive::killtest::detail
