// replay: lets an heir repair a crash state once more, from its image, in the calling process:
// where a debugger sees it.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstddef>
#include <string>

#include <outlive/export.hpp>
#include <outlive/killtest/report.hpp>
#include <outlive/killtest/scenario.hpp>

namespace outlive::killtest {

struct replayed {
  verdict result = verdict::ok;
  std::string what;           // what is wrong, in words
  std::size_t recovered = 0;  // mutexes that the dead had in hand
  std::size_t repaired = 0;
};

// The calling thread is the heir: the repairs and the invariant run in it, on a segment that is
// made anew and gets the image's bytes. `make` runs in another thread, which has ended by then. A
// repair that crashes ends the process.
// Requires: an image that explore() has written (crash-HASH.seg) of this scenario, by this program,
//   since the machine was started.
// Throws: std::system_error, which names the file, when it cannot be read or is no image of such a
//   segment; what `make` and `repairs` throw.
// Blocks: as long as the repairs do.
[[nodiscard]] OUTLIVE_API replayed replay(const scenario& what, const std::string& image);

}  // namespace outlive::killtest
