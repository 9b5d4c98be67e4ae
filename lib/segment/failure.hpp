// How the library throws: a code, and a message that names the object, what was found and what was expected.
#pragma once

#include <string>
#include <system_error>

#include <outlive/error.hpp>

namespace outlive::detail {

[[noreturn]] inline void fail(errc code, const std::string& what) {
  throw std::system_error(make_error_code(code), what);
}

}  // namespace outlive::detail
