#include <outlive/guarded.hpp>

namespace outlive::detail {

void throw_guard_without_object() {
  throw std::system_error(make_error_code(errc::not_owner),
                          "guard: found no object to lock, expected one");
}

void throw_guard_holds() {
  throw std::system_error(make_error_code(errc::deadlock),
                          "guard: found that it holds its mutex, expected it not to");
}

}  // namespace outlive::detail
