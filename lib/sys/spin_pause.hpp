// spin_pause: between two reads of a word that another thread will change soon.
#pragma once

namespace outlive::detail {

inline void spin_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace outlive::detail
