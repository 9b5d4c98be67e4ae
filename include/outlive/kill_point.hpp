// OUTLIVE_KILL_POINT: a named place at which a process can be made to die from outside.
//
//   of.a -= amount;
//   OUTLIVE_KILL_POINT("after-debit");
//   of.b += amount;
//
//   int main() {
//     outlive::arm_kill_points();  // or compile this file with -DOUTLIVE_ARM_KILL_POINTS
//     ...
//
//   # The fourth time that the process comes to the point, it gets a SIGKILL.
//   $ OUTLIVE_KILL='after-debit=3*off->1*kill' ./transfer
//
// The variable has no effect on a program that does not arm the points itself, so a variable that
// is left in the environment harms no program in production. There are three ways to arm them: call
// arm_kill_points(), compile a file that includes this header with -DOUTLIVE_ARM_KILL_POINTS, or
// link liboutlive-killtest.
//
// The points stay in the program that is shipped. A point that is not armed tests a flag: three
// instructions in a program compiled by gcc, four in shared libraries and with clang. Armed or not,
// it is a compiler fence without an instruction: what was written before it in the source is in
// memory when it is reached. So the program that is killed there is the one that runs otherwise.
//
//   OUTLIVE_KILL = point *( ";" point )
//   point        = name "=" step *( "->" step )   name: as in the program, or * for every point
//   step         = [ percent "%" ] [ count "*" ] action [ "(" argument ")" ]
//
// The first point with the name counts. Of its steps, the first that applies runs: its count is not
// used up, and the chance of `percent` selects it. If none applies, nothing happens. Counts belong
// to a process; a child of fork() goes on with its own copy of them. The actions are:
//
//   off           nothing
//   kill          SIGKILL to the process; process 1 of a PID namespace, which the kernel protects
//                 from it, ends by a trap (SIGILL)
//   segv          a store to address 0; the program's handler runs, if it has one
//   abort         std::abort()
//   exit(CODE)    _exit(CODE), without argument _exit(1): no destructor and no exit handler runs
//   thread-exit   pthread_exit(): the thread is unwound; guards release their mutexes, and mutexes
//                 that were locked without a guard are left behind
//   throw         throws outlive::kill_point_error
//   pause         SIGSTOP to the process: it stops there until SIGCONT, or is killed; process 1
//                 of a PID namespace goes on
//   sleep(MS)     the thread sleeps for so many milliseconds
//   print(TEXT)   a line on stderr: the name, the process, the thread, the text;
//                 OUTLIVE_KILL='*=print' shows which points there are
//
// Percentages are drawn from OUTLIVE_KILL_SEED, a number. Without it the seed is random and is
// printed on stderr. The same seed makes the same choices in a process that is started again;
// children of fork() make other choices than their parent.
//
// Both variables are read when the points are armed: when arm_kill_points() is called, otherwise
// while the program is loaded. They are ignored in a program with more rights than its user
// (secure_getenv(3)). Points that are reached earlier, in constructors of static objects, do
// nothing. If a variable is malformed, nothing is armed: arm_kill_points() throws; at load the
// message is written to stderr.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <atomic>
#include <stdexcept>
#include <string_view>

#include <outlive/detail/export.hpp>

namespace outlive {

// What the action `throw` throws. The message names the point.
class OUTLIVE_API kill_point_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  kill_point_error(const kill_point_error&) = default;
  kill_point_error& operator=(const kill_point_error&) = default;
  ~kill_point_error() override;
};

// Arms the points that OUTLIVE_KILL names, and disarms all others. Without the variable it changes
// nothing.
// Throws: std::invalid_argument if OUTLIVE_KILL is malformed, or OUTLIVE_KILL_SEED where it is
//   needed; then nothing has changed.
// After fork: the child gets a copy of the armed points and their counts.
OUTLIVE_API void arm_kill_points();

// The same with `text` instead of the variable; an empty text disarms all points. For tests.
OUTLIVE_API void arm_kill_points(std::string_view text);

namespace detail {

extern OUTLIVE_API std::atomic<bool> kill_points_armed;
OUTLIVE_API void reach_kill_point(const char* name);
// Returns: true. Writes a message to stderr if a variable is malformed.
OUTLIVE_API bool arm_kill_points_at_load() noexcept;
#ifdef OUTLIVE_ARM_KILL_POINTS
inline const bool kill_points_armed_at_load = arm_kill_points_at_load();
#endif

}  // namespace detail

}  // namespace outlive

// `name`: a string literal.
// Throws: nothing when it is not armed; kill_point_error by the action `throw`, which alone
//   allocates memory.
// Signal-safe: yes, except for the actions throw and thread-exit.
#define OUTLIVE_KILL_POINT(name)                                                               \
  do {                                                                                         \
    ::std::atomic_signal_fence(::std::memory_order_seq_cst);                                   \
    if (::outlive::detail::kill_points_armed.load(::std::memory_order_relaxed)) [[unlikely]] { \
      ::outlive::detail::reach_kill_point("" name);                                            \
    }                                                                                          \
  } while (false)
