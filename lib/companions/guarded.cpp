#include <outlive/guarded.hpp>

namespace outlive::detail {

void throw_guard_without_object() {
  throw std::system_error(make_error_code(errc::not_owner),
                          "guard: found it without an object, expected one to lock");
}

void throw_guard_holds() {
  throw std::system_error(make_error_code(errc::deadlock),
                          "guard: found it holding its mutex already, expected it not to");
}

}  // namespace outlive::detail
