// The end of a thread: a call after all its thread_local objects are gone.
//
// A pthread key's destructor runs after the C++ destructors of thread_local objects, which may
// still lock (protocol.md U9). It runs again if a call in another key's destructor locks.
#pragma once

namespace outlive::detail {

// Arranges that `action` is called when the calling thread ends in an orderly way. There is one
// action for the whole process. It is not called for the main thread when main returns: then the
// process ends, and the kernel releases what is held.
void at_thread_exit(void (*action)());

}  // namespace outlive::detail
