// The tests' own cancellation points.
#pragma once

#include <pthread.h>

#if defined(__SANITIZE_ADDRESS__)
#define OUTLIVE_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OUTLIVE_TEST_ASAN 1
#endif
#endif

#ifdef OUTLIVE_TEST_ASAN
extern "C" void __asan_handle_no_return();
#endif

namespace outlive::testing {

/// Ends the thread if it is cancelled. AddressSanitizer knows pthread_exit, but not that a
/// cancellation leaves all frames, and would report the thread's end as a write to one of them.
inline void end_if_cancelled() {
#ifdef OUTLIVE_TEST_ASAN
  __asan_handle_no_return();
#endif
  pthread_testcancel();
}

}  // namespace outlive::testing
