// The file that a segment's name leads to: who makes it, how another takes its place, what a death
// leaves.
//
// A new file is put in another's place by rename(), which needs a name for it: the second name. It
// is used in the name's turn alone (sys/creation_lock.hpp), so that one that lies there while
// nobody has the turn was left by a death, and goes with the next open, creation or removal.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "format/layout.hpp"
#include "sys/creation_lock.hpp"
#include "sys/shared_memory.hpp"

namespace outlive::detail::named_file {

// What lies under the segment's name, be it a segment or not. Throws the system's errors, with the
// name.
std::optional<shared_memory::file_info> inspect(std::string_view name);

// Whether the name leads to the file with these constants and this device. Throws as inspect().
bool leads_to(const segment_constants& constants, std::uint64_t device);

// The turn of a name, waited for: for as long as another has it, which its death ends, but not
// longer than 30 seconds, for it may be stopped. `enough` is asked in between: true ends the wait.
class name_lock {
 public:
  name_lock(std::string_view name, const std::function<bool()>& enough);
  [[nodiscard]] bool is_held() const noexcept { return held_; }

 private:
  creation_lock lock_;
  bool held_;
};

// Removes a second name that a death has left. Not a word where that cannot be done.
// Requires: the calling thread does not have the name's turn.
void remove_left_over(std::string_view name) noexcept;
// The same in the name's turn. Throws the system's errors.
void remove_second(std::string_view name);

// Puts a file of create_unnamed() in the place of whatever the name leads to: at each instant the
// name leads to the one or to the other. Requires: the calling thread has the name's turn. Throws.
void put_in_place(int fd, std::string_view name);

}  // namespace outlive::detail::named_file
