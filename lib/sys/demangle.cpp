#include "sys/demangle.hpp"

#include <cxxabi.h>

#include <cstdlib>

namespace outlive::detail {

std::string demangled(std::string_view name) {
  std::string mangled(name);
  int status = 0;
  char* const text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  if (text == nullptr) return mangled;
  std::string readable(text);
  std::free(text);
  return readable;
}

}  // namespace outlive::detail
