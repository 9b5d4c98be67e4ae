// The sanitizer that this is compiled for; gcc and clang report it differently.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define OUTLIVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OUTLIVE_TSAN 1
#endif
#endif
