// The text of an error of lock(), try_lock() or unlock(): the mutex, what was found, and what was
// expected, and what to do where that is not plain.
#pragma once

#include <string>
#include <string_view>
#include <system_error>

#include "format/object_layout.hpp"
#include "mutex/outcome.hpp"

namespace outlive::detail {

// Stands before the text of the code itself. The bytes may be no mutex any more, and may change
// meanwhile. `thrown`: what the repair's exception says, if it threw one.
std::string failure_text(const lock_bytes& lock, std::error_code error,
                         std::string_view thrown = {});

// Throws the error as a std::system_error. Nests in it what the repair threw, if it did.
[[noreturn]] void throw_failure(const lock_bytes& lock, const outcome& of);
// Returns: whether the mutex was acquired. Throws the error, if there is one.
inline bool acquired_or_throw(const lock_bytes& lock, const outcome& of) {
  if (of.error) throw_failure(lock, of);
  return of.acquired;
}

}  // namespace outlive::detail
