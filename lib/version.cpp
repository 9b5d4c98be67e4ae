#include <outlive/version.hpp>

namespace outlive {

const char* version() noexcept {
  return OUTLIVE_VERSION;
}

namespace detail {

// Defined under the name of the layout that this library has.
const char OUTLIVE_DETAIL_LAYOUT = 0;

}  // namespace detail

}  // namespace outlive
