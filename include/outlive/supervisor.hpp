// supervisor: watches every process that uses a segment. It notices each death at once, recovers
// what the dead held, and reports it.
//
// It finds the processes that are attached to the segment, and those that attach later, by itself:
// children and strangers alike. It is never needed for correctness, because the next lock() would
// do the same repairs. With it nobody has to wait for repairs, and somebody is informed. Waiters
// that a dying waiter left asleep on a free mutex (hazard A16) wake at once, and so do threads that
// sleep for a job, a slot or a permit that a dead thread had.
//
//   outlive::supervisor watch(segment);
//   watch.on_death([](const outlive::participant_death& x) { log(outlive::to_string(x)); });
//   watch.on_hung(std::chrono::seconds(30),
//                 [&](const outlive::hung_owner& owner) { watch.kill_and_recover(owner); });
//   watch.run(stop);  // or add watch.fd() to an event loop, and dispatch() when it is readable
//
// The repairs are those of the supervising process. It registers them before it starts, as every
// user of the segment does.
//
// Several supervisors of one segment do no harm. The first to come recovers a mutex, once, and each
// supervisor reports the deaths of those that it watched. A supervisor that is killed at any moment
// loses nothing: the next one, or any locker, continues where it stopped.
//
// Invalid: use of one supervisor by two threads at once, or by a forked child. Make it after the
// program has become a daemon, because close_range would close its descriptors. dispatch() and
// run() then throw std::errc::bad_file_descriptor. They leave files of yours alone that got these
// numbers.
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
#include <outlive/detail/export.hpp>
#include <outlive/recover.hpp>
#include <outlive/segment.hpp>
#include <outlive/thread_identity.hpp>
#include <outlive/thread_stack.hpp>

namespace outlive {

struct supervisor_options {
  // How often it sweeps, that is, looks through the records: for threads that died in a living
  // process, for orphans, and for whatever a notification missed. From 1 ms to 1 hour.
  std::chrono::milliseconds sweep{1000};

  // Whether it reaps dead children of this process. By default it only reads their exit status, and
  // a child stays a zombie until the program waits for it. A supervisor that reaps would steal the
  // status from the program's own waitpid().
  bool reap_children = false;

  // How to get the stack of a living thread, for on_hung() and on_deadlock(): outlive::live_stack
  // of liboutlive-crash, or a function of your own. Without it they report no stacks.
  std::function<thread_stack(pid_t tid)> stacks{};

  // How long kill_and_recover() waits for the process to end.
  std::chrono::milliseconds kill_patience{5000};
};

// A dead thread that had something in hand, or left a report of its crash.
struct thread_death {
  thread_identity who;
  std::vector<held_lock> in_hand;
  std::optional<crash_report> crash;
};

// A mutex of a dead thread that another thread, not this supervisor, has met: a waiter that the
// kernel woke, a locker, another supervisor.
struct inherited_mutex {
  std::string mutex_name;  // "unknown" if no object of the directory contains it
  std::string lock_class;
  pid_t tid = 0;  // of the dead thread
  thread_identity heir;
  death_outcome outcome{};
};

// The end of a process that was attached to the segment, or of one of its threads. An orderly end
// is reported, too, with nothing in hand.
struct participant_death {
  pid_t pid = 0;
  pid_t tid = 0;  // 0: the whole process; otherwise a thread, whose process may go on
  // Of the process or thread, in clock ticks since boot.
  std::uint64_t start_time = 0;
  std::string command_name;  // of the process; may be "unknown"
  // Of the dead process, if the supervising one is its parent and nobody had reaped it before.
  std::optional<int> exit_code;
  std::optional<int> signal;  // the same
  bool core_dumped = false;
  std::vector<thread_death> threads;  // that had something in hand, or left a crash report
  std::vector<recovered_mutex> recovered;
  // What others had met by then, as far as the death log still has it.
  std::vector<inherited_mutex> inherited;
  std::chrono::system_clock::time_point when;  // it was noticed
  // From then until all of it was repaired and free, or given up.
  std::chrono::nanoseconds recovery_time{};
};
// "pid 4711 (worker) was killed by SIGKILL: 2 mutexes recovered, 0 not", for messages and logs. It
// may go on ", 1 mutex inherited by another thread", or be "no mutex to recover".
[[nodiscard]] OUTLIVE_API std::string to_string(const participant_death& death);

enum class thread_condition {
  unknown,  // /proc does not say
  running,  // or ready to
  sleeping,
  // Uninterruptible ("D"): even SIGKILL may take effect only when that is over.
  waiting_for_device,
  stopped,  // by SIGSTOP and the like
  traced,   // stopped by a debugger
  // By its cgroup. SIGKILL takes effect, except with the freezer of cgroup version 1.
  frozen,
  dumping_core,  // it has died already; its mutexes are free when the dump is written
};
[[nodiscard]] OUTLIVE_API std::string_view to_string(thread_condition condition) noexcept;

enum class held_kind : std::uint8_t {
  mutex,   // a robust_mutex, or a robust_shared_mutex as its writer
  shared,  // a robust_shared_mutex as a reader
  job,     // of a work_queue
  permit,  // of a permit_pool
};

// A living thread that has had a mutex, a shared hold, a job or a permit for longer than the
// threshold.
struct hung_owner {
  thread_identity who;
  // Of a job or permits: the offset of the job's slot, or of the pool, and the object's name.
  held_lock held;
  // Since the first sweep that saw this; it has acquired nothing else of the segment since. A job
  // is the same lease all the time, whatever else its thread acquires.
  std::chrono::nanoseconds at_least{};
  bool repairing = false;  // it is an heir, in its repair
  thread_condition condition = thread_condition::unknown;
  thread_stack stack;                    // by supervisor_options::stacks
  std::vector<thread_identity> waiters;  // for this mutex or these permits
  // Its thread record, and the record's generation: which hold this is.
  std::uint32_t record = 0;
  std::uint64_t generation = 0;
  held_kind kind = held_kind::mutex;
  // Of a job or permits: the thread has handed over some that nobody has taken yet, perhaps these.
  // Then it is the other thread of its process that is late (handed_over::take()).
  bool may_be_on_its_way = false;
};
// "pid 11 tid 12 (worker) has held "x" of class "c" for at least 2.0 s: stopped, 1 thread waits",
// for messages and logs. It may go on "; perhaps handed over, and not taken yet".
[[nodiscard]] OUTLIVE_API std::string to_string(const hung_owner& owner);

// A thread of a deadlock.
struct deadlocked_thread {
  thread_identity who;
  held_lock waits_for;  // with the place of the call; the next thread has it
  thread_stack stack;   // by supervisor_options::stacks
  // mutex, also for a writer that waits for readers, or permit: then the next thread is one of
  // those who have all permits, and none of them can go on
  held_kind kind = held_kind::mutex;
};
// Threads, of any processes, each of which waits for something that the next one has; the last one
// waits for the first. A thread that waits with a time limit gives up by itself.
struct deadlock {
  std::vector<deadlocked_thread> threads;
};
// "deadlock of 2 threads: pid 11 tid 11 (a) waits for "x" of class "c", held by pid 12 tid 12 (b),
// which waits for ...", for messages and logs.
[[nodiscard]] OUTLIVE_API std::string to_string(const deadlock& found);

// The watched segment's name no longer leads to it. Processes that open the name get or make
// another segment, and do not exclude the users of this one.
struct lost_name {
  std::string name;
  bool replaced = false;  // another file has the name
};
// "segment "bank": its name leads to another segment now", for messages and logs.
[[nodiscard]] OUTLIVE_API std::string to_string(const lost_name& lost);

namespace detail {
class supervision;
}

class supervisor {
 public:
  // Starts to watch. The first dispatch(), which is due at once, finds the processes that are
  // attached already.
  // Errors: std::errc::invalid_argument for a sweep out of range, the system's if it has no
  //   descriptor left.
  OUTLIVE_API explicit supervisor(const segment& seg, const supervisor_options& options = {});
  OUTLIVE_API supervisor(supervisor&&) noexcept;
  OUTLIVE_API supervisor& operator=(supervisor&&) noexcept;
  // Stops watching. What it has found but not reported is lost; nothing in the segment is.
  OUTLIVE_API ~supervisor();

  // The callbacks. Set them before the first dispatch(). dispatch() calls them, in the thread that
  // called it, with no mutex held; they may use the segment as any thread may. If one throws,
  // dispatch() throws the exception on, and the next dispatch() reports what is left.

  // A participant, or one of its threads, has died. Called after the recovery. Deaths before the
  // supervisor was made are reported only if they left something to recover. If a sweep meets a
  // process of several threads that is just ending, or one that the kernel takes a second to end,
  // its threads may be reported first (tid is not 0), with what they held; the process then has
  // nothing in hand. The supervisor may miss a process that attached, left nothing to recover, and
  // ended before it looked.
  OUTLIVE_API void on_death(std::function<void(const participant_death&)> callback);

  // A living thread has a mutex, a shared hold or permits and has, for at least `threshold`,
  // neither released them nor acquired anything else of the segment; or it has had a job for that
  // long, which may well be right. hung_owner::kind says what it is. Reported once for each hold.
  // Sweeps find it, so the threshold should be several times their interval; lock() itself reads no
  // clock. Sweeps then look at all slots of the queues and at all permits.
  // Errors: std::errc::invalid_argument for a threshold that is not positive.
  OUTLIVE_API void on_hung(std::chrono::milliseconds threshold,
                           std::function<void(const hung_owner&)> callback);

  // Threads wait for each other. Two sweeps find the cycle, if none of its threads made progress
  // between them. Reported once. Only cycles over mutexes, shared holds and permits of this segment
  // are found. Who waits for a job waits for nobody in particular. Who waits for a permit of a
  // thread that has handed one over, which nobody has taken yet, counts as able to go on.
  OUTLIVE_API void on_deadlock(std::function<void(const deadlock&)> callback);

  // The segment's name was removed, or another segment has it. Reported once, by the first
  // dispatch() after it, and never for an anonymous segment.
  OUTLIVE_API void on_name_lost(std::function<void(const lost_name&)> callback);

  // Something failed that does not end the supervision: there is no descriptor for a process (each
  // sweep then looks at that process), or a recovery could not begin (the next sweep retries).
  // Each failure is reported once, until the same has succeeded. Without a callback the supervisor
  // goes on and says nothing.
  //
  // The last quarter of the descriptors that the process may have (RLIMIT_NOFILE) stays the
  // program's: once the supervisor would have to take one of those, sweeps look at the rest of the
  // processes, and this reports std::errc::too_many_files_open once.
  OUTLIVE_API void on_error(std::function<void(const std::system_error&)> callback);

  // Watches a child of this process, whether it attaches to the segment or not. Call it in the
  // parent after the fork: a worker that dies before its first use of the segment is reported, too,
  // and reaped if supervisor_options::reap_children says so. Then the program does not wait for it:
  // where no descriptor is left, the supervisor reaps it by its pid. A child that attaches is
  // watched anyway, and reported once.
  // Errors: std::errc::no_child_process if there is no such child or it was waited for already;
  //   the system's if there is no descriptor for it. Blocks: never.
  OUTLIVE_API void add_child(pid_t pid);

  // Returns: a descriptor that is readable whenever dispatch() has something to do, for poll,
  //   epoll, libuv or asio. It stays the supervisor's. -1 once the program has closed it, as by
  //   close_range.
  [[nodiscard]] OUTLIVE_API int fd() const noexcept;

  // Does what is due: recovers what the dead held, looks for new participants, sweeps if it is
  // time, and calls the callbacks.
  // Errors: what callbacks throw; std::errc::bad_file_descriptor if the program has closed the
  //   supervisor's descriptors; errc::forked_in_repair in a child that a repair forked. After what
  //   a callback threw the supervisor stays usable.
  // Blocks: for the repairs of what it recovers, and for the callbacks; not for events, and not for
  //   mutexes that the living hold.
  OUTLIVE_API void dispatch();

  // Calls dispatch() whenever it is due, until a stop is requested. Errors: as dispatch(); run()
  // can be called again.
  OUTLIVE_API void run(const std::stop_token& stop);

  // Kills the holder's process by SIGKILL, waits for its end, and recovers what it held. It kills
  // through the descriptor by which it watches the process, so it never kills another process with
  // the same pid. May be called in a callback.
  // Returns: the death, which the next dispatch() reports to on_death(), too. Nothing, if the
  //   holder has meanwhile released the mutex or died; then nothing was done. Nothing, too, if the
  //   recovery could not begin after the kill; then on_error() is called, and the next sweep
  //   retries.
  // Errors: std::errc::timed_out if the process has not ended within
  //   supervisor_options::kill_patience (its death is reported when it comes);
  //   std::errc::invalid_argument for a holder in this process;
  //   std::errc::operation_not_permitted for process 1 of the PID namespace (in a container the
  //   program that it was started for), which no process inside can kill; the system's if the
  //   process may not be killed, or there is no descriptor for it.
  // Blocks: for the end of the process, and as dispatch().
  OUTLIVE_API std::optional<participant_death> kill_and_recover(const hung_owner& holder);

  // Returns: the number of living processes that it watches, without this one.
  [[nodiscard]] OUTLIVE_API std::size_t watched() const noexcept;

 private:
  std::unique_ptr<detail::supervision> impl_;
};

}  // namespace outlive
