// replay: lets an heir repair one crash state again, from its image, in the calling process, where
// a debugger can watch.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstddef>
#include <string>

#include <outlive/detail/export.hpp>
#include <outlive/killtest/report.hpp>
#include <outlive/killtest/scenario.hpp>

namespace outlive::killtest {

struct replayed {
  verdict result = verdict::ok;
  std::string what;           // what is wrong, in words
  std::size_t recovered = 0;  // mutexes that the dead had in hand
  std::size_t repaired = 0;
};

// The calling thread is the heir: it runs the repairs and the invariant, on a new segment with the
// bytes of the image. `make` runs in another thread, which has ended by then. A repair that crashes
// ends the process.
// Requires: explore() wrote the image (crash-HASH.seg), for this scenario, in this program, since
//   the machine started.
// Throws: std::system_error, which names the file, if it cannot be read or is no image of such a
//   segment; what `make` and `repairs` throw.
// Blocks: as long as the repairs do.
[[nodiscard]] OUTLIVE_API replayed replay(const scenario& what, const std::string& image);

}  // namespace outlive::killtest
