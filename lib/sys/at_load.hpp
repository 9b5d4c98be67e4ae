// What has to be there before the first fork.
//
// A function-local static whose first use is under way in one thread while another forks stays
// "being made" in the child for ever: the thread that makes it is not there, and the next use waits
// for it. So each static of the library that is made at run time is made while the library is
// loaded, too. The static stays function-local: whoever comes before, from another file's static
// initialisation, finds it made.
#pragma once

namespace outlive::detail {

class made_at_load {
 public:
  // Whatever `make` throws comes again, to a caller, at the first use.
  explicit made_at_load(void (*make)()) noexcept {
    try {
      make();
    } catch (...) {
    }
  }
};

}  // namespace outlive::detail
