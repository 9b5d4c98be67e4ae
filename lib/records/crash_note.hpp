// Crash notes: what a thread writes into each of its records about a signal that is about to kill
// it.
//
// Only liboutlive-crash calls the writers, from a signal handler. They allocate nothing,
// acquire no lock, and follow only the calling thread's own list of attachments, which is whole
// between any two instructions. In a forked child without a record of its own, and in a thread
// without one, they do nothing: the list then is the parent's. They may be called before anything
// else of the library.
//
// A note is whole when the first writer returns. The others add to it or remove it, each by a last
// store that makes the rest count, so a kill, a hang or another crash in between loses nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <outlive/detail/export.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail {

struct crash_cause {
  int signal;
  int code;
  std::uint64_t address;
  std::uint64_t instruction;
};

// Returns: whether the thread has a record, and so whether the rest is worth doing.
OUTLIVE_API bool begin_crash_notes(const crash_cause& cause) noexcept;
// The frames from the instruction on, which stands there already.
OUTLIVE_API void add_crash_frames(const std::uint64_t* frames, std::size_t count) noexcept;
// Another signal came before the thread was dead.
OUTLIVE_API void mark_crash_nested() noexcept;
// The crash was mended, and the thread goes on.
OUTLIVE_API void clear_crash_notes() noexcept;

// `hook` is called in each thread that has just got a record, outside of all locks and signal
// handlers. There is one for the process; nullptr removes it.
OUTLIVE_API void set_record_hook(void (*hook)() noexcept) noexcept;
void call_record_hook() noexcept;

// A sound copy of a record's note.
struct crash_copy {
  int signal = 0;
  int code = 0;
  std::uint64_t address = 0;
  bool nested = false;
  std::size_t count = 0;
  std::uint64_t frames[crash_frames] = {};
};
// Nothing: the note is not of the record's present life, or its thread has gone on since.
std::optional<crash_copy> read_crash_note(const mapping& map, std::uint32_t index) noexcept;

}  // namespace outlive::detail
