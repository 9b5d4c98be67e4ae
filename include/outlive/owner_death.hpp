// owner_death: the report about an owner that died while it held a robust mutex. A repair gets it
// as its argument.
//
// It is made before the repair starts, from what the dead thread wrote into its record and what its
// process registered. Making it allocates nothing. It is valid until the repair returns, so copy
// what you need longer. Unknown values (the record was overwritten, the segment is damaged) are 0
// or "unknown".
#pragma once

#include <outlive/detail/requirements.hpp>

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <outlive/crash_report.hpp>
#include <outlive/detail/export.hpp>
#include <outlive/thread_identity.hpp>

namespace outlive {

class robust_mutex;
class segment;

// A place in code that another process can look up: `addr2line -e module offset`.
struct code_location {
  std::uint64_t address = 0;  // in the process that ran the code
  // From the module's load base; the address itself if the module is unknown.
  std::uint64_t offset = 0;
  std::string_view module = "unknown";
  std::string_view build_id;  // raw bytes; empty if there is none

  // Returns: "module+0xoffset (symbol)". The symbol comes from the module's own symbol table, if
  //   that can be read. Reads files and allocates. Throws nothing but std::bad_alloc.
  [[nodiscard]] OUTLIVE_API std::string where() const;
};

// The signal that killed the owner, if its process had a crash_recorder
// (<outlive/crash_recorder.hpp>) and the signal was one that it records. The members are those of
// crash_report, which is the same in plain values.
struct owner_crash {
  static constexpr std::size_t max_frames = 32;

  int signal = 0;
  int code = 0;
  std::uint64_t address = 0;
  bool nested = false;
  std::size_t frame_count = 0;
  code_location frames[max_frames];  // the instruction that crashed first, then return addresses
};

// Returns: the same in plain values that outlive the report, with the names of functions. Reads the
//   modules' files; allocates.
[[nodiscard]] OUTLIVE_API crash_report to_report(const owner_crash& crash);

namespace detail {
struct death_facts;
}

class owner_death {
 public:
  // The mutex that is being repaired, held by the calling thread.
  [[nodiscard]] OUTLIVE_API const robust_mutex& mutex() const noexcept;
  // Name of the object in the segment's directory that contains the mutex; "unknown" if no object
  // does. Each call looks it up: if the mutex is not the first member of an object, that is a walk
  // through the directory.
  [[nodiscard]] OUTLIVE_API std::string_view mutex_name() const noexcept;
  [[nodiscard]] OUTLIVE_API std::string_view lock_class() const noexcept;

  // The thread that died inside, and the place where it had acquired the mutex.
  [[nodiscard]] OUTLIVE_API const thread_identity& owner() const noexcept;
  [[nodiscard]] OUTLIVE_API const code_location& acquired_at() const noexcept;

  // What the owner recorded about the signal that killed it; nullptr if there is no such record.
  [[nodiscard]] OUTLIVE_API const owner_crash* crash() const noexcept;

  // What else the dead owner held: held(0) ... held(held_count() - 1). At most max_reported are
  // listed; held_cut() is true if there were more. Each call of held() looks the mutex up, as
  // mutex_name() does, and allocates.
  static constexpr std::size_t max_reported = 64;
  [[nodiscard]] OUTLIVE_API std::size_t held_count() const noexcept;
  [[nodiscard]] OUTLIVE_API held_lock held(std::size_t index) const;
  [[nodiscard]] OUTLIVE_API bool held_cut() const noexcept;

  // The number of this attempt to repair this death: 1, 2 ... max_attempts(). An attempt counts
  // when its callback starts.
  [[nodiscard]] OUTLIVE_API unsigned attempt() const noexcept;
  [[nodiscard]] OUTLIVE_API unsigned max_attempts() const noexcept;

  // The thread that died in the repair before this one; nullptr if none did.
  [[nodiscard]] OUTLIVE_API const thread_identity* former_heir() const noexcept;

  // For the library. The facts lie on the stack of lock().
  explicit owner_death(const detail::death_facts& facts) noexcept : facts_(facts) {}
  owner_death(const owner_death&) = delete;
  owner_death& operator=(const owner_death&) = delete;

 private:
  const detail::death_facts& facts_;
};

}  // namespace outlive
