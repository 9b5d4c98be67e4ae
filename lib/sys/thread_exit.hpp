// The end of a thread: a call after all its thread_local objects are gone.
//
// A pthread key's destructor runs after C++ destructors of thread_local objects, which may still
// lock (protocol.md U9). It runs again when such a call locks in another key's destructor.
#pragma once

namespace outlive::detail {

// Arranges that `action` is called when the calling thread ends in an orderly way. One action for
// the whole process; it is not called for the main thread when main returns: the process ends then,
// and the kernel gives back what is held.
void at_thread_exit(void (*action)());

}  // namespace outlive::detail
