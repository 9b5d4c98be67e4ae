// Defers pthread_cancel for a scope: for waits in destructors and noexcept functions, out of which
// a thread cannot be unwound.
#pragma once

#include <pthread.h>

namespace outlive::detail {

class no_cancellation {
 public:
  no_cancellation() noexcept { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &former_); }
  no_cancellation(const no_cancellation&) = delete;
  no_cancellation& operator=(const no_cancellation&) = delete;
  ~no_cancellation() { pthread_setcancelstate(former_, nullptr); }

 private:
  int former_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace outlive::detail
