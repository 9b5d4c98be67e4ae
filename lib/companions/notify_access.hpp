// notify_access: a descriptor for notifications that is not readable by itself after a slice. So a
// test can tell whether a notification made it readable.
#pragma once

#include <chrono>

#include <outlive/notify_descriptor.hpp>
#include <outlive/robust_condition_variable.hpp>

namespace outlive::detail {

struct notify_access {
  static notify_descriptor for_notifications(robust_condition_variable& condition,
                                             std::chrono::nanoseconds slice) {
    return notify_descriptor::for_notifications(condition, slice);
  }
};

}  // namespace outlive::detail
