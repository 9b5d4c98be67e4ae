#include <outlive/guarded.hpp>

#include <algorithm>
#include <cstddef>

#include <outlive/lock.hpp>

#include "error/failure.hpp"

namespace outlive::detail {

void throw_guard_without_object() {
  throw std::system_error(make_error_code(errc::not_owner),
                          "guard: found no object to lock, expected one");
}

void throw_guard_holds() {
  throw std::system_error(make_error_code(errc::deadlock),
                          "guard: found that it holds its mutex, expected it not to");
}

void require_different(const void* const* objects, std::size_t count) {
  for (std::size_t i = 1; i < count; ++i) {
    if (std::find(objects, objects + i, objects[i]) != objects + i)
      fail(errc::deadlock, "lock: found the same object twice, expected different ones");
  }
}

}  // namespace outlive::detail
