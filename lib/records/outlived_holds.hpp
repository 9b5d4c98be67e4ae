// Holds on permits and jobs that outlive their thread. They are void, because the thread's record
// is free. But an object that holds one may be in the hands of another thread, which reads the job
// through it. So the mapping stays until the last of these objects has ended.
#pragma once

#include <cstdint>
#include <memory>

namespace outlive::detail {

class mapping;

struct outlived_holds {
  std::shared_ptr<mapping> map;
  std::uint64_t name = 0;  // attachment::name of the thread that ended
  std::uint32_t count = 0;
  outlived_holds* next = nullptr;
};

// Keeps the mapping until end_outlived_hold() was called `count` times, less what was lost by
// lose_hold() before.
// Requires: the mapping table's mutex is not held.
void keep_for_holds(std::unique_ptr<outlived_holds> holds) noexcept;

// An object ended whose hold names a thread by that record and generation. `mask`: the bits of the
// generation that the hold keeps. Nothing happens if that thread has not ended.
// Requires: as above.
void end_outlived_hold(const void* object, std::uint64_t index_plus_1, std::uint64_t generation,
                       std::uint64_t mask) noexcept;

// The same of an object that ended in another thread, while that one lived: it stays the holder,
// and at its end there is one object less to wait for. Without memory for that note the mapping
// stays. Requires: as above.
void lose_hold(const void* object, std::uint64_t index_plus_1, std::uint64_t generation,
               std::uint64_t mask) noexcept;

}  // namespace outlive::detail
