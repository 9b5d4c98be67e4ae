// How the library throws: a code, and a message that names the object, what was found and what was
// expected.
#pragma once

#include <string>
#include <string_view>
#include <system_error>

#include <outlive/error.hpp>

namespace outlive::detail {

[[noreturn]] inline void fail(errc code, const std::string& what) {
  throw std::system_error(make_error_code(code), what);
}

// A name from a caller, in quotes: at most 80 bytes of it, and without zero bytes, which would end
// the message.
inline std::string quoted(std::string_view name) {
  std::string text = "\"";
  for (const char each : name.substr(0, 80)) {
    if (each == '\0')
      text += "\\0";
    else
      text += each;
  }
  return text + '"';
}

}  // namespace outlive::detail
