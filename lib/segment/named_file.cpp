#include "segment/named_file.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <system_error>
#include <thread>

#include "error/failure.hpp"
#include "format/hash.hpp"
#include "mapping/segment_name.hpp"

namespace outlive::detail::named_file {

namespace {

constexpr std::chrono::seconds longest_wait{30};
constexpr std::chrono::milliseconds longest_nap{10};

// Not the name of a segment: their files begin with "outlive.".
std::string second_path(std::string_view name) {
  return std::string(segment_folder) + "/.outlive-next." + std::string(name);
}

bool wait_for(creation_lock& lock, const std::function<bool()>& enough) {
  const auto end = std::chrono::steady_clock::now() + longest_wait;
  for (std::chrono::milliseconds nap{1}; !lock.try_acquire();
       nap = std::min(2 * nap, longest_nap)) {
    if (enough() || std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(nap);
  }
  return true;
}

}  // namespace

std::optional<shared_memory::file_info> inspect(std::string_view name) {
  try {
    return shared_memory::inspect_path(segment_path(name));
  } catch (const std::system_error& error) {
    rethrow_named(error, quoted_segment(name));
  }
}

bool leads_to(const segment_constants& constants, std::uint64_t device) {
  if (constants.name[0] == 0) return false;
  const auto found = inspect(constants.name);
  return found && found->device == device && found->inode == constants.inode;
}

name_lock::name_lock(std::string_view name, const std::function<bool()>& enough)
    : lock_(segment_folder, hash_text(name)), held_(wait_for(lock_, enough)) {}

void remove_left_over(std::string_view name) noexcept {
  try {
    if (!shared_memory::inspect_path(second_path(name))) return;
    creation_lock lock(segment_folder, hash_text(name));
    // If the lock is not held, for example because no descriptor is free, another process may be
    // using the second name.
    if (lock.try_acquire() && lock.is_held()) remove_second(name);
  } catch (const std::exception&) {  // no memory, or another user's file: the next call tries again
  }
}

void remove_second(std::string_view name) {
  shared_memory::unlink(second_path(name));
}

void put_in_place(int fd, std::string_view name) {
  const std::string second = second_path(name);
  remove_second(name);
  if (!shared_memory::link(fd, second)) {
    fail(errc::in_use, quoted_segment(name) + ": found that " + second +
                           " was made meanwhile, expected no other process to make it");
  }
  try {
    shared_memory::rename(second, segment_path(name));
  } catch (const std::system_error&) {
    shared_memory::unlink(second);
    throw;
  }
}

}  // namespace outlive::detail::named_file
