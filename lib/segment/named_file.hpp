// The file that a segment's name leads to: the right to make it, its replacement, and what a death
// leaves.
//
// A new file replaces another one by rename(), which needs a second name for it. That name is used
// only while the name's lock is held (sys/creation_lock.hpp). So a second name that exists without
// the lock was left by a death, and is removed by the next open, creation or removal.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "format/layout.hpp"
#include "sys/creation_lock.hpp"
#include "sys/shared_memory.hpp"

namespace outlive::detail::named_file {

// The file under the segment's name, whatever it is. Throws the system's errors, with the name.
std::optional<shared_memory::file_info> inspect(std::string_view name);

// Whether the name leads to the file with these constants and this device. Throws as inspect().
bool leads_to(const segment_constants& constants, std::uint64_t device);

// The lock of a name. Waits while another process holds it, whose death releases it, but at most 30
// seconds, because that process may be stopped. `enough` is called in between: true ends the wait.
class name_lock {
 public:
  name_lock(std::string_view name, const std::function<bool()>& enough);
  [[nodiscard]] bool is_held() const noexcept { return held_; }

 private:
  creation_lock lock_;
  bool held_;
};

// Removes a second name that a death has left; silent if that fails.
// Requires: the calling thread does not hold the name's lock.
void remove_left_over(std::string_view name) noexcept;
// The same, with the name's lock held. Throws the system's errors.
void remove_second(std::string_view name);

// Puts a file of create_unnamed() in the place of any file with the name: at each instant the name
// leads to the one or to the other. Requires: the calling thread holds the name's lock. Throws.
void put_in_place(int fd, std::string_view name);

}  // namespace outlive::detail::named_file
