// supervisor: a process's watch over everybody who uses a segment. It notices each death at once,
// recovers what the dead held, and tells about it.
//
// It finds by itself the processes that are attached to the segment, and those that attach later:
// children and strangers alike. It is never needed for correctness, for the next lock() would do
// the same repairs; with it nobody has to wait for them, somebody is told, and waiters that a dying
// waiter left asleep on a free mutex (hazard A16) are woken at once.
//
//   outlive::supervisor watch(segment);
//   watch.on_death([](const outlive::participant_death& x) { log(outlive::to_string(x)); });
//   watch.on_hung(std::chrono::seconds(30),
//                 [&](const outlive::hung_owner& owner) { watch.kill_and_recover(owner); });
//   watch.run(stop);  // or add watch.fd() to an event loop: dispatch() when it is readable
//
// The repairs are those of the supervising process: it registers them as every user of the segment
// does, before it starts.
//
// Several supervisors of one segment do no harm: each mutex is recovered once, by whoever comes
// first, and each supervisor tells of the deaths of those whom it watched. One that is itself
// killed at any moment loses nothing: the next one, or any locker, goes on where it stopped.
//
// Invalid: the use of one supervisor by two threads at once, and by a forked child. Make it after
// the program has become a daemon: close_range would take its descriptors away. dispatch() and
// run() then throw std::errc::bad_file_descriptor, and files of yours that get the numbers are left
// alone, unless they are of the same kind (an epoll, eventfd, timerfd or inotify descriptor).
#pragma once

#include <outlive/detail/requirements.hpp>

#include <pthread.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <outlive/crash_report.hpp>
#include <outlive/death_log.hpp>
#include <outlive/export.hpp>
#include <outlive/recover.hpp>
#include <outlive/segment.hpp>
#include <outlive/thread_stack.hpp>

namespace outlive {

struct supervisor_options {
  // How often it looks through the records: for threads that died in a living process, for orphans,
  // and for whatever a notification did not tell. From 1 ms to 1 hour.
  std::chrono::milliseconds sweep{1000};

  // Whether it takes the exit status of children of this process when they are dead. By default it
  // only reads the status, and the child stays a zombie until the program waits for it; a
  // supervisor that takes it would steal it from the program's own waitpid().
  bool reap_children = false;

  // How to get the stack of a living thread, for on_hung() and on_deadlock(): outlive::live_stack
  // of liboutlive-crash, or a function of the program's own. Without it they tell none.
  std::function<thread_stack(pid_t tid)> stacks;

  // How long kill_and_recover() waits for the end of the process.
  std::chrono::milliseconds kill_patience{5000};
};

// A mutex that a thread had acquired, or was acquiring or releasing.
struct mutex_in_hand {
  const robust_mutex* mutex = nullptr;
  std::string mutex_name;  // "unknown" where no object of the directory contains it
  std::string lock_class;
  // Where it was acquired, as in code_location: module and offset are what addr2line takes.
  std::string module;
  std::uint64_t module_offset = 0;
};

// A dead thread that had something in hand, or left a report of its crash.
struct thread_death {
  logged_thread who;
  std::vector<mutex_in_hand> in_hand;
  std::optional<crash_report> crash;
};

// The end of a process that was attached to the segment, or of one thread of it. An orderly end is
// told, too; then nothing was in hand.
struct participant_death {
  pid_t pid = 0;
  pid_t tid = 0;  // 0: the whole process; otherwise a thread, whose process may go on
  // Of the process or thread, in clock ticks since boot.
  std::uint64_t start_time = 0;
  std::string command_name;  // of the process, "unknown" where it is
  // Of the process: where this process is its parent and nobody had taken the status before.
  std::optional<int> exit_code;
  std::optional<int> signal;  // the same
  bool core_dumped = false;
  std::vector<thread_death> threads;  // that had something in hand, or left a crash report
  std::vector<recovered_mutex> recovered;
  std::chrono::system_clock::time_point when;  // it was noticed
  // From then until all of it was repaired and free, or given up.
  std::chrono::nanoseconds recovery_time{};
};
// "pid 4711 (worker) was killed by SIGKILL: 2 mutexes recovered, 0 not", for messages and logs.
[[nodiscard]] OUTLIVE_API std::string to_string(const participant_death& death);

enum class thread_condition {
  unknown,  // /proc does not say
  running,  // or ready to
  sleeping,
  // Uninterruptible ("D"): even SIGKILL may take effect only when that is over.
  waiting_for_device,
  stopped,  // by SIGSTOP and the like
  traced,   // stopped by a debugger
  // By its cgroup: SIGKILL takes effect, but for the freezer of cgroup version 1.
  frozen,
  dumping_core,  // it has died already; its mutexes are free when the dump is written
};
[[nodiscard]] OUTLIVE_API std::string_view to_string(thread_condition condition) noexcept;

// A living thread that has not let go of a mutex for longer than the threshold.
struct hung_owner {
  logged_thread who;
  mutex_in_hand held;
  // Since the first sweep that found it so; it has taken no mutex of the segment since.
  std::chrono::nanoseconds at_least{};
  bool repairing = false;  // it is an heir, in its repair
  thread_condition condition = thread_condition::unknown;
  thread_stack stack;                  // by supervisor_options::stacks
  std::vector<logged_thread> waiters;  // for this mutex
  // Its thread record, and the record's generation: which hold this is.
  std::uint32_t record = 0;
  std::uint64_t generation = 0;
};
// "pid 11 tid 12 (worker) has held "x" of class "c" for at least 2.0 s: stopped, 1 thread waits",
// for messages and logs.
[[nodiscard]] OUTLIVE_API std::string to_string(const hung_owner& owner);

// A thread of a deadlock.
struct deadlocked_thread {
  logged_thread who;
  mutex_in_hand waits_for;  // and where it does; the next thread holds it
  thread_stack stack;       // by supervisor_options::stacks
};
// Threads, of whatever processes, each of which waits for a mutex that the next one holds; the last
// one waits for the first. One that waits with a time limit gives up by itself some time.
struct deadlock {
  std::vector<deadlocked_thread> threads;
};
// "deadlock of 2 threads: pid 11 tid 11 (a) waits for "x" of class "c", held by pid 12 tid 12 (b),
// which waits for ...", for messages and logs.
[[nodiscard]] OUTLIVE_API std::string to_string(const deadlock& found);

// The watched segment's name does not lead to it any more: whoever opens the name gets another
// segment, or makes one, and excludes nobody who uses this one.
struct lost_name {
  std::string name;
  bool replaced = false;  // another file lies under the name
};
// "segment "bank": its name leads to another segment now", for messages and logs.
[[nodiscard]] OUTLIVE_API std::string to_string(const lost_name& lost);

namespace detail {
class supervision;
}

class supervisor {
 public:
  // Starts to watch. Who is attached by now is found at the first dispatch(), which is due at once.
  // Errors: std::errc::invalid_argument for a sweep out of range, the system's where it has no
  //   descriptor left.
  OUTLIVE_API explicit supervisor(const segment& where, const supervisor_options& options = {});
  OUTLIVE_API supervisor(supervisor&&) noexcept;
  OUTLIVE_API supervisor& operator=(supervisor&&) noexcept;
  // Watches no longer. What it has found and not told is lost; nothing in the segment is.
  OUTLIVE_API ~supervisor();

  // The callbacks. To be set before the first dispatch(). Each is called in dispatch(), by the
  // thread that calls it, with no mutex held; it may use the segment as any thread may. An
  // exception that it throws comes out of dispatch(); what had not been told by then is told in the
  // next.

  // A participant, or a thread of one, has died: called after the recovery. Those that were dead
  // before the supervisor was made are told only if they had left something to recover. If a sweep
  // meets a process that is just ending, its threads may be told first, with what they held; the
  // process then has nothing in hand. A process that attached, left nothing to recover and ended
  // before the supervisor came to look may be missed.
  OUTLIVE_API void on_death(std::function<void(const participant_death&)> callback);

  // A living thread holds a mutex, and has for at least `threshold` neither let go of it nor taken
  // another one of the segment: told once for each such hold. It is seen by the sweeps, so the
  // threshold should be several times theirs; lock() itself reads no clock.
  // Errors: std::errc::invalid_argument for a threshold that is not positive.
  OUTLIVE_API void on_hung(std::chrono::milliseconds threshold,
                           std::function<void(const hung_owner&)> callback);

  // Threads wait for each other: found by two sweeps between which none of them got on, and told
  // once. Cycles over mutexes of this segment only.
  OUTLIVE_API void on_deadlock(std::function<void(const deadlock&)> callback);

  // The segment's name was taken away, or another segment put in its place: told once, by the first
  // dispatch() after it. Never of an anonymous segment.
  OUTLIVE_API void on_name_lost(std::function<void(const lost_name&)> callback);

  // Something failed that does not end the supervision: a descriptor of a process is not to be had
  // (it is then looked at in each sweep), a recovery could not begin (it is tried again in the next
  // sweep). Told once for each process. Without a callback dispatch() throws it.
  OUTLIVE_API void on_error(std::function<void(const std::system_error&)> callback);

  // Returns: a descriptor that is readable whenever dispatch() has something to do: for poll,
  //   epoll, libuv, asio. It stays the supervisor's. -1 once the program has closed it, as by
  //   close_range.
  [[nodiscard]] OUTLIVE_API int fd() const noexcept;

  // Does what is due: recovers what the dead held, looks for new participants, sweeps if it is
  // time, and calls the callbacks.
  // Errors: what callbacks throw, and what on_error() would be told if it is not set. The
  //   supervisor can be used on.
  // Blocks: for the repairs of what it recovers, and for the callbacks; not for events, and not for
  //   mutexes that the living hold.
  OUTLIVE_API void dispatch();

  // Calls dispatch() whenever it is due, until a stop is requested. Errors: as dispatch(); it can
  // be called again.
  OUTLIVE_API void run(const std::stop_token& stop);

  // Kills the holder's process by SIGKILL, waits for its end, and recovers what it held. The
  // process is killed through the descriptor by which it is watched, so that never another one with
  // the same pid is hit. May be called in a callback.
  // Returns: the death, which on_death() is told of, too, by the next dispatch(); nothing, if the
  //   holder has let go of the mutex meanwhile, or died: then nothing was done. Nothing, too, if
  //   the recovery could not begin after the kill: on_error() is told, and the next sweep tries
  //   again.
  // Errors: std::errc::timed_out when the process has not ended in
  //   supervisor_options::kill_patience (its death is told when it comes);
  //   std::errc::invalid_argument for a holder in this process; the system's where the process may
  //   not be killed, or its descriptor is not to be had.
  // Blocks: for the end of the process, and as dispatch().
  OUTLIVE_API std::optional<participant_death> kill_and_recover(const hung_owner& holder);

  // Returns: how many processes it watches that live, this one not counted.
  [[nodiscard]] OUTLIVE_API std::size_t watched() const noexcept;

 private:
  std::unique_ptr<detail::supervision> impl_;
};

}  // namespace outlive
