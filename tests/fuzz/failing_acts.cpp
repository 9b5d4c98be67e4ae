// What the fuzzer must find: its test of itself.
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <system_error>

#include "fuzz/acts.hpp"

namespace outlive::fuzz {

void add_failures(act_table& made) {
  made = {
      {"crash", [](visitor& on) { *reinterpret_cast<volatile char*>(on.made + 16) = 1; }},
      {"abort", [](visitor&) { std::abort(); }},
      {"throw", [](visitor&) { throw std::runtime_error("something else"); }},
      {"throw a system's error",
       [](visitor&) { throw std::system_error(EIO, std::generic_category()); }},
      {"eat memory",
       [](visitor&) {
         for (std::vector<char> much;;) much.resize(much.size() * 2 + 4096);
       }},
      {"hang", [](visitor&) { ::pause(); }},
      {"repair of other memory",
       [](visitor& on) { on.check_account(*static_cast<const pair*>(on.seg.base())); }},
  };
}

}  // namespace outlive::fuzz
