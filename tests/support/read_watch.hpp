// Runs a function between two loads of the code under test, which needs no seam for it: the pages
// of some shared words are protected, each access to them faults, is let through alone, and the
// test's function is called after it.
//
//   read_watch watch(&first, sizeof first, [&](const void* word) { others change the words };
//   code_under_test();
//
// x86-64 only, one at a time, for the calling process: a child of the test. The function must not
// touch the pages itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace outlive::testing {

class read_watch {
 public:
  using hook = std::function<void(const void*)>;

  /// `after` is called after each access to the bytes from `begin` on, with the address that the
  /// processor reported.
  read_watch(const void* begin, std::size_t size, hook after);
  ~read_watch();
  read_watch(const read_watch&) = delete;
  read_watch& operator=(const read_watch&) = delete;

 private:
  friend struct read_watch_handlers;
  void protect(int how) const;

  std::uintptr_t begin_;
  std::uintptr_t end_;
  hook after_;
  std::uintptr_t at_ = 0;  // of the access that is let through
};

}  // namespace outlive::testing
