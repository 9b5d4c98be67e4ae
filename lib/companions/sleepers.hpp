// Threads that sleep for a job, a slot or a permit, and how a supervisor wakes them.
//
// What a dead thread had is there for others without anybody's help, but its death wakes nobody: a
// sleeper finds it when its slice ends. So each thread writes into its record for which object it
// sleeps, and whoever notices a death wakes these threads. An object may lie anywhere in another
// one, so no list of objects would find them all.
#pragma once

#include <cstdint>

#include "mapping/mapping.hpp"

namespace outlive::detail {

// Names the object while this exists. Make it before the wait's mark, which is a full fence: a
// sleeper that saw the holder alive has named the object before the holder's death.
class sleeping_for {
 public:
  sleeping_for(const mapping& map, thread_record& record, const void* object) noexcept
      : record_(record) {
    record_.sleeps_for.store(static_cast<std::uint32_t>(map.offset_of(object) / cache_line),
                             std::memory_order_relaxed);
  }
  ~sleeping_for() { record_.sleeps_for.store(0, std::memory_order_relaxed); }
  sleeping_for(const sleeping_for&) = delete;
  sleeping_for& operator=(const sleeping_for&) = delete;

 private:
  thread_record& record_;
};

// Wakes all threads that sleep for jobs, slots or permits, so that they look for those of threads
// that have died. Not one for each death: a woken thread may die, too.
void wake_sleepers(const mapping& map) noexcept;

}  // namespace outlive::detail
