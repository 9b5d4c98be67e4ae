// What an error of lock(), try_lock() or unlock() says: the mutex, what was found and what was
// expected.
#pragma once

#include <exception>
#include <string>
#include <system_error>

#include "format/object_layout.hpp"

namespace outlive::detail {

// Before the text of the code itself. The mutex may be no mutex any more, and may change meanwhile.
std::string failure_text(const lock_bytes& lock, std::error_code error);

// Throws it as a std::system_error, in which is nested what the repair threw, if it did.
[[noreturn]] void throw_failure(const lock_bytes& lock, std::error_code error,
                                const std::exception_ptr& thrown);

}  // namespace outlive::detail
