// What the commands that read a segment share: how they open it, and how they name what is in it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <outlive/segment_view.hpp>

#include "source_lines.hpp"
#include "table.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace inspect {

// Returns: the segment's name, if the text is the path of its file; any other text as it is.
[[nodiscard]] std::string name_in(const std::string& text);
// Adds the argument SEGMENT, which is required: a name, or the path of its file.
CLI::Option* add_segment_argument(CLI::App& command, std::string& into);

// Returns: the names of all files in /dev/shm that are called like segments, sorted.
[[nodiscard]] std::vector<std::string> segment_names();

// Returns: the file of the segment.
[[nodiscard]] std::string path_of(const std::string& name);

// Opens a segment of any user: a view writes nothing and trusts nothing. Errors: as
// outlive::segment_view::open().
[[nodiscard]] outlive::segment_view open(const std::string& name);

// Returns: "1.0M"; in JSON the number of bytes.
[[nodiscard]] cell size_cell(std::uint64_t bytes);
// Returns: the user's name, or the number if there is none.
[[nodiscard]] std::string user_name(std::uint32_t uid);
// Returns: local time to the millisecond; in JSON UTC as ISO 8601.
[[nodiscard]] cell time_cell(std::chrono::system_clock::time_point when);
// Returns: "bank", or "bank+0x40" for a mutex that is not the first thing in its object.
[[nodiscard]] std::string mutex_name(const outlive::viewed_lock& lock);
// Returns: the mutex that a user calls "bank", "bank+0x40", or "0x1240": an offset in the segment;
//   nothing if there is none.
[[nodiscard]] std::optional<outlive::viewed_lock> find_mutex(const outlive::segment_view& view,
                                                             const std::string& name);
// Returns: those that recover() would work on.
[[nodiscard]] std::vector<outlive::viewed_lock> mutexes_to_recover(
    const outlive::segment_view& view);
// Returns: "4711 worker", or "4711/4712 worker/count" for another thread than the first.
[[nodiscard]] std::string thread_name(pid_t pid, pid_t tid, std::string_view command,
                                      std::string_view thread);
template <class Thread>
[[nodiscard]] std::string thread_name(const Thread& of) {
  return thread_name(of.pid, of.tid, of.command_name, of.thread_name);
}

// Returns: the frames from the innermost on, "#0  transfer at bank.cpp:41"; or one line that says
//   why there are none. `folds`: frames of outlive and of the system's libraries that follow each
//   other are one line, which has the outermost: what the program itself called.
[[nodiscard]] std::vector<std::string> stack_lines(const outlive::thread_stack& stack,
                                                   source_lines& sources, bool folds = true);

// Returns: how many of the processes, or threads, live.
template <class List>
[[nodiscard]] std::size_t count_alive(const List& list) {
  return static_cast<std::size_t>(
      std::count_if(list.begin(), list.end(), [](const auto& each) { return each.alive; }));
}
[[nodiscard]] std::size_t count_waiting(const std::vector<outlive::viewed_thread>& threads);
// Returns: how many mutexes the thread holds.
[[nodiscard]] std::size_t count_held(const outlive::viewed_thread& thread);

}  // namespace inspect
