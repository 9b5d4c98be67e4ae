// segment_view: a look at a segment from outside: attached processes and threads, objects, holders
// and waiters of mutexes, jobs of queues, permits, damage.
//
// A view acquires no lock, needs no participant and no thread record, and stores nothing, because
// its mapping is read-only. So it works on a segment that is full, damaged or stuck, and its
// process can be killed or stopped at any time without harm to others.
//
// The answers were true at some time during the call. They may have changed when you read them, and
// two lines of one answer may be of different times. Every byte is read as if a dying process had
// written it: impossible values are left out or "unknown", and problems() lists them.
//
// A view stays valid after the segment's name was removed. Invalid, and not detected in time: a
// file that is truncated during a call.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <pthread.h>

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <outlive/death_log.hpp>
#include <outlive/detail/export.hpp>
#include <outlive/job_lease.hpp>
#include <outlive/segment.hpp>
#include <outlive/thread_identity.hpp>

namespace outlive {

// A thread record in use: of a living thread, or of a dead thread that a mutex still names.
struct viewed_thread : thread_identity {
  std::uint32_t record = 0;  // its index
  bool alive = false;
  std::uint64_t generation = 0;    // counts the threads that had this record
  std::uint64_t acquisitions = 0;  // mutexes and permits acquired since the thread attached
  std::uint64_t waits = 0;         // of these, how often it had to wait
  std::vector<held_lock> in_hand;
  // Offsets of the shared mutexes that it holds shared; one that it holds twice is listed twice.
  std::vector<std::uint64_t> reads;
  std::optional<std::uint64_t> waiting_for;  // offset of the mutex that it waits for
};

// How long threads have held their mutexes, from several looks at the threads.
//
// lock() and unlock() read no clock. But a thread whose count of acquisitions is the same in two
// looks acquired nothing in between, and what it held in both it held all the time. If it did
// acquire a mutex, it may have released and acquired the others again: they count as held since the
// later look.
class hold_times {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  // A mutex in the hands of a thread; for a job see viewed_job::hold.
  struct hold {
    std::uint32_t record = 0;
    std::uint64_t generation = 0;
    std::uint64_t acquisitions = 0;
    std::uint64_t mutex_offset = 0;
    auto operator<=>(const hold&) const noexcept = default;
  };

  // Adds a look: all that was held at `now`.
  OUTLIVE_API void update(const std::vector<hold>& held, time_point now);
  OUTLIVE_API void update(const std::vector<viewed_thread>& threads, time_point now);

  // Returns: how long it has been held, at least, at the last look; nothing if that was the first
  //   one to see it.
  [[nodiscard]] OUTLIVE_API std::optional<std::chrono::nanoseconds> held_for(
      const hold& which) const;
  [[nodiscard]] OUTLIVE_API std::optional<std::chrono::nanoseconds> held_for(
      const viewed_thread& by, std::uint64_t mutex_offset) const;

 private:
  std::map<hold, time_point> since_;
  time_point now_{};
};

enum class viewed_condition : std::uint8_t {
  consistent,
  unrepaired,       // its owner died; the next locker's repair is due
  repairing,        // an heir repairs it, or died in that
  not_recoverable,  // attempts are used up
  damaged,          // the library did not write these bytes
};
[[nodiscard]] OUTLIVE_API std::string_view to_string(viewed_condition condition) noexcept;

struct viewed_lock {
  std::uint64_t offset = 0;        // from the segment's base
  std::string object = "unknown";  // name of the object that contains it
  std::uint64_t offset_in_object = 0;
  std::string lock_class = "unknown";
  viewed_condition condition = viewed_condition::damaged;
  unsigned attempts = 0;  // repairs of its present death that were started
  // Thread record of its holder, living or dead; none: free, or the holder has no record.
  std::optional<std::uint32_t> holder;
  pid_t holder_tid = 0;  // 0: nobody has it, or the kernel has marked it
  // It is in the hands of a dead thread: the next locker, or recover(), becomes the heir.
  bool holder_died = false;
  bool orphaned = false;      // and the kernel has not marked it, so that it must be adopted
  bool shared = false;        // a robust_shared_mutex: all of the above is of its writers
  std::uint32_t readers = 0;  // threads that hold it shared
  bool waited_for = false;    // as the kernel sees it; may stay true after the last waiter went
};

// An object of the directory.
struct viewed_object {
  std::string name = "unknown";
  std::string type = "unknown";  // as in source code, if its name could be translated
  std::uint64_t offset = 0;      // from the segment's base
  std::uint64_t size_bytes = 0;
};

enum class viewed_job_state : std::uint8_t {
  waiting,      // tried before
  leased,       // a living thread has it
  dead_letter,  // tried too often
  examined,     // a dead letter that a living thread has
};
[[nodiscard]] OUTLIVE_API std::string_view to_string(viewed_job_state state) noexcept;

// A job of a queue that was handed out at least once.
struct viewed_job {
  std::uint32_t slot = 0;
  viewed_job_state state = viewed_job_state::waiting;
  unsigned tries = 0;      // including a lease of now
  thread_identity holder;  // of a leased or examined one; otherwise unknown
  // The threads that died on it, oldest first.
  std::vector<job_holder> died_on_it;
  // The threads whose leases of it were ended by the time limit, oldest first.
  std::vector<job_holder> expired_on_it;
  // For hold_times: as long as the thread has the job, the same. Of leased and examined jobs.
  // A thread that leases the job in this slot exactly eight rounds of the queue later has the same.
  hold_times::hold hold;
};

// A work_queue.
struct viewed_queue {
  std::uint64_t offset = 0;        // from the segment's base
  std::string object = "unknown";  // name of the object that contains it
  std::uint64_t offset_in_object = 0;
  std::uint32_t capacity = 0;
  std::uint32_t max_tries = 0;
  std::uint32_t job_bytes = 0;
  std::chrono::nanoseconds lease_limit{};  // 0: none
  bool closed = false;
  // Slots with a waiting job, including jobs of dead workers and of leases that are over; a leased
  // job; a dead letter, including those that a thread examines.
  std::uint32_t waiting = 0;
  std::uint32_t leased = 0;
  std::uint32_t dead_letters = 0;
  std::vector<viewed_job> jobs;  // in the order of the queue, oldest first
};

// A permit_pool.
struct viewed_permit_pool {
  // A living thread with permits.
  struct holder : thread_identity {
    std::uint32_t permits = 0;
    // For hold_times: the same as long as the thread has permits and acquires nothing.
    hold_times::hold hold;
  };
  std::uint64_t offset = 0;        // from the segment's base
  std::string object = "unknown";  // name of the object that contains it
  std::uint64_t offset_in_object = 0;
  std::uint32_t permits = 0;
  std::uint32_t free = 0;       // including those of dead threads
  std::uint32_t abandoned = 0;  // of these, how many have a dead holder
  std::vector<holder> holders;
};

// An owner death that nobody has met yet. The next locker of the mutex, or recover(), will.
struct pending_death {
  held_lock held;
  thread_identity owner;
  bool repairing = false;  // it died as an heir, in its repair
};

struct viewed_participant {
  std::uint32_t index = 0;
  pid_t pid = 0;
  std::uint64_t start_time = 0;  // in clock ticks since boot
  std::string command_name = "unknown";
  bool alive = false;         // false: the next process that needs a slot takes this one
  std::uint32_t modules = 0;  // registered files, whose addresses can be named
  bool modules_cut = false;   // there were more than fit
};

// A violation of the format (docs/format.md).
struct segment_problem {
  std::string object;  // what is damaged
  std::string found;
  std::string expected;
  bool operator==(const segment_problem&) const = default;
};
// "thread record 3: found generation 0x1000000000000, expected at most 48 bits"
[[nodiscard]] OUTLIVE_API std::string to_string(const segment_problem& problem);

class segment_view {
 public:
  // Views the segment of that name. Of the options it uses only mode and expected_owners.
  // Errors: as segment::open(), without too_many_participants. The permission to read the file is
  //   enough.
  [[nodiscard]] OUTLIVE_API static segment_view open(std::string_view name,
                                                     const segment_options& options = {});
  // Views a segment that this process has open, through its mapping, which stays mapped.
  OUTLIVE_API explicit segment_view(const segment& seg);

  segment_view(const segment_view&) noexcept = default;
  segment_view(segment_view&&) noexcept = default;
  segment_view& operator=(const segment_view&) noexcept = default;
  segment_view& operator=(segment_view&&) noexcept = default;
  ~segment_view() = default;

  // None of the calls below blocks, changes anything, or allocates more than its answer. Several
  // threads may call them at once, and a child of a fork may, too. Errors: damaged, if the file has
  // become shorter than the segment; the system's.

  // As segment's calls of these names.
  [[nodiscard]] OUTLIVE_API std::string name() const;
  [[nodiscard]] OUTLIVE_API segment_options options() const;
  [[nodiscard]] OUTLIVE_API std::size_t size_bytes() const noexcept;

  // As segment::has_name().
  [[nodiscard]] OUTLIVE_API bool has_name() const;
  // Returns: the user who owns the file.
  [[nodiscard]] OUTLIVE_API std::uint32_t owner() const;
  // Returns: the number of objects that the directory counts.
  [[nodiscard]] OUTLIVE_API std::uint32_t object_count() const;
  // Returns: the number of owner deaths that were met in the segment's life. A thread that died
  //   with two mutexes counts twice. A death that several threads met, because it was not repaired
  //   at first, counts once.
  [[nodiscard]] OUTLIVE_API std::uint64_t death_count() const;
  // Returns: how often an owner death was met. The death log has the last 256 times.
  [[nodiscard]] OUTLIVE_API std::uint64_t meeting_count() const;
  // Returns: the owner deaths that nobody has met yet: mutexes that dead threads still hold, by the
  //   thread records. Costs as threads().
  [[nodiscard]] OUTLIVE_API std::vector<pending_death> pending_deaths() const;

  // Returns: the threads, by their records. Costs a look into /proc for each thread, and nothing
  //   for the mutexes of the segment.
  [[nodiscard]] OUTLIVE_API std::vector<viewed_thread> threads() const;
  // Returns: the mutexes, by offset: those that are objects, and those inside of objects. Walks the
  //   directory and each object, so do not call it every millisecond on a segment of a million
  //   mutexes.
  [[nodiscard]] OUTLIVE_API std::vector<viewed_lock> locks() const;
  // Returns: the mutex at the offset from the base; its condition is damaged if there is no mutex.
  [[nodiscard]] OUTLIVE_API viewed_lock lock_at(std::uint64_t offset) const;
  // Returns: the objects of the directory, by offset.
  [[nodiscard]] OUTLIVE_API std::vector<viewed_object> objects() const;
  // Return: the work queues, and the permit pools, by offset: those that are objects, and those
  //   inside of objects. Walk like locks(), and look into /proc for each holder.
  [[nodiscard]] OUTLIVE_API std::vector<viewed_queue> queues() const;
  [[nodiscard]] OUTLIVE_API std::vector<viewed_permit_pool> permit_pools() const;
  // Returns: the processes that are attached, and those that died attached while nobody has needed
  //   their slot since. Costs a look into /proc for each.
  [[nodiscard]] OUTLIVE_API std::vector<viewed_participant> participants() const;
  // Returns: the same as outlive::death_log().
  [[nodiscard]] OUTLIVE_API std::vector<logged_death> deaths() const;

  // Returns: every rule of the format that the bytes break, at most 1,000 of them. Other processes
  //   may work meanwhile, and their unfinished work is no problem: a violation is reported only if
  //   three looks, some milliseconds apart, find it. A death alone is no problem, either.
  // Blocks: for a few milliseconds besides the looks, if the first look finds something.
  [[nodiscard]] OUTLIVE_API std::vector<segment_problem> problems() const;

 private:
  explicit segment_view(std::shared_ptr<const detail::mapping> seg) noexcept
      : map_(std::move(seg)) {}
  const detail::mapping& checked() const;
  std::shared_ptr<const detail::mapping> map_;
};

}  // namespace outlive
