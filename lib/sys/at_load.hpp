// Objects that must exist before the first fork.
//
// A function-local static may be under construction in one thread while another forks. In the child
// it stays under construction for ever: the constructing thread is not there, and the next use
// waits for it. So each static of the library that is made at run time is also made while the
// library is loaded. It stays function-local, so that a use in another file's static initialisation
// finds it made.
#pragma once

namespace outlive::detail {

class made_at_load {
 public:
  // If `make` throws, the first use throws the same to its caller.
  explicit made_at_load(void (*make)()) noexcept {
    try {
      make();
    } catch (...) {
    }
  }
};

}  // namespace outlive::detail
