// stale_guards: guards by which no thread of this process has anything any more, although they say
// so: copies in a forked child, and guards of a thread that has ended.
//
// A guard does not know which thread made it; to note that would cost each lock. Where no such
// guard can be, the thread that has the mutex made the one that ends. So the process notes, for
// each mapping, whether one can be: off the fast paths, when a thread ends and when the process
// forks. A thread that acquires while another one forks can be overlooked, if the child then ends
// a copy of its guard.
#pragma once

#include "mapping/mapping.hpp"

namespace outlive::detail::stale_guards {

// To be called before a thread's first use of a segment: again, if it failed when the library was
// loaded. Throws std::system_error.
void watch_forks();
// A thread attaches to the mapping.
void attached_to(mapping& map) noexcept;
// A thread ends, and has a mutex there, alone or shared.
void left_in(mapping& map) noexcept;

// Whether there can be one. True for ever after left_in(), in a child that was forked while a
// thread of its parent had a mutex there, and in one that was not made by fork().
bool possible(const mapping& map) noexcept;

}  // namespace outlive::detail::stale_guards
