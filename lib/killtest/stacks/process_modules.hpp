// process_modules: the modules that this process has loaded, as libdw sees them.
#pragma once

#include <elfutils/libdwfl.h>

#include <utility>

namespace outlive::killtest::detail {

// How many modules have been loaded and unloaded so far. What libdw has read holds until that
// changes.
using module_changes = std::pair<unsigned long long, unsigned long long>;
[[nodiscard]] module_changes changes_of_modules();

// A session of libdw, for one thread at a time.
class process_modules {
 public:
  process_modules();
  ~process_modules();
  process_modules(const process_modules&) = delete;
  process_modules& operator=(const process_modules&) = delete;

  [[nodiscard]] Dwfl* get() const noexcept { return session_; }  // nullptr: libdw has none

 private:
  Dwfl* session_;
};

}  // namespace outlive::killtest::detail
