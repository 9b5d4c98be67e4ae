#include <outlive/version.hpp>

namespace outlive {

const char* version() noexcept {
  return OUTLIVE_VERSION;
}

}  // namespace outlive
