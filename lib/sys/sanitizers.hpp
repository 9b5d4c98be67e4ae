// Which sanitizer this is compiled for: gcc and clang tell it in ways of their own.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define OUTLIVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OUTLIVE_TSAN 1
#endif
#endif
