#include "support/code_address.hpp"

#include <cxxabi.h>
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>

namespace outlive::testing {
namespace {

std::string readable_name(const char* symbol) {
  int error = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(symbol, nullptr, nullptr, &error), std::free);
  return error == 0 && name ? name.get() : symbol;
}

}  // namespace

std::string describe_address(std::uintptr_t address) {
  std::ostringstream out;
  out << std::hex << std::showbase;
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(address), &info) == 0 || info.dli_fname == nullptr) {
    out << address << " (no module)";
    return out.str();
  }
  const char* slash = std::strrchr(info.dli_fname, '/');
  out << (slash ? slash + 1 : info.dli_fname) << '+'
      << address - reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  if (info.dli_sname) {
    out << " (" << readable_name(info.dli_sname) << '+'
        << address - reinterpret_cast<std::uintptr_t>(info.dli_saddr) << ')';
  }
  return out.str();
}

}  // namespace outlive::testing
