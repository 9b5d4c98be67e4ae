// Errors: one rule for the whole library.
//
// Conditions that a caller can meet (a segment of another version, a lock whose owner died, a full
// directory) are outlive::errc codes. Functions throw them as std::system_error. The message names
// the object, what was found and what was expected. The lock operations also have a form that sets
// a std::error_code& and throws nothing.
//
// Misuse (unlock by another thread, a second lock by the holder) is an error code too, never
// silent. On an error no lock is held and nothing has changed, except the condition of a mutex
// whose owner died (the table in robust_mutex.hpp). What ends in the wrong thread cannot return an
// error: <outlive/misuse.hpp> reports it, and its default handler is the only place where the
// library prints and ends the process.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <string>
#include <system_error>

#include <outlive/detail/export.hpp>

namespace outlive {

enum class errc {
  // Segments.
  invalid_name = 1,  // empty, too long, or with a slash or a zero byte
  not_found,         // no segment, object or participant of that name
  already_exists,    // create() of a segment that exists
  // Bytes that no version of outlive wrote: truncated, torn, zeroed or overwritten memory.
  damaged,
  version_mismatch,    // the segment's format version is not this library's
  abi_mismatch,        // another architecture, libc or mutex size made the segment
  wrong_owner,         // the segment's file belongs to another user than expected
  writable_by_others,  // more users may write the segment's file than options.mode says
  // Made in another PID namespace, where thread ids mean other threads (hazard A30), or in another
  // time namespace, where their start times differ.
  wrong_pid_namespace,
  no_space,  // no room in the file system for the segment, or in the segment for another object

  // Directory.
  type_mismatch,  // an object or a lock class exists with another type
  directory_full,
  in_use,  // the object or segment cannot be removed while somebody uses it

  // Participants.
  too_many_threads,       // living threads hold every thread record
  too_many_participants,  // living processes hold every participant slot
  // The kernel keeps no robust list for this thread: a death would go unnoticed (hazard A31).
  no_robust_list,
  not_in_segment,  // locks a robust mutex outside of any segment: it would protect nothing
  too_many_locks,  // this thread holds max_held locks of the segment, or 1,900 in all
  deadlock,        // the calling thread holds the mutex already
  not_owner,       // unlock by a thread that does not hold the mutex (a forked child never does)
  in_repair,       // lock() inside a repair: two heirs would wait for each other
  // The segment's shared mutexes need the system call membarrier, which this process may not call.
  no_membarrier,

  // Owner death.
  owner_died_unrepaired,  // the owner died, and this process has no repair for the lock
  not_recoverable,        // repairs failed or died as often as the segment allows
  repair_failed,          // the repair of this process returned failed, or threw
  forked_in_repair,       // the repair forked, and this is the child: the lock is the parent's
  already_registered,     // a second repair for the same mutex or lock class

  // Append only: the numbers are ABI. What follows came later.
  options_differ,  // open_or_create() found a segment that has less than its options ask for
  // Another copy of the library in this process has the segment open: the two would not exclude
  // each other.
  second_copy,
  // /proc does not show which boot of the machine and which PID namespace this is: it is not
  // mounted, or only in part.
  no_proc,
  wrong_file_system,  // the segment's file, or /dev/shm, is not on a tmpfs
  queue_closed,       // push() into a work queue that was closed
  lease_expired,      // done() and the like, after a lease's time limit, of a job that others got
};

// Category of errc. Its name is "outlive".
[[nodiscard]] OUTLIVE_API const std::error_category& error_category() noexcept;

[[nodiscard]] inline std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), error_category()};
}

}  // namespace outlive

template <>
struct std::is_error_code_enum<outlive::errc> : std::true_type {};
