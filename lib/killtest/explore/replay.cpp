#include <outlive/killtest/replay.hpp>

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <ios>
#include <system_error>
#include <thread>
#include <vector>

#include <outlive/error.hpp>
#include <outlive/note.hpp>

#include "format/layout.hpp"
#include "killtest/state/private_view.hpp"
#include "killtest/survivor/survivors.hpp"

namespace outlive::killtest {

using namespace detail;

namespace {

using outlive::detail::lock_bytes;
using outlive::detail::participant;
using outlive::detail::region_layout;
using outlive::detail::segment_constants;

std::string read_image(const std::string& path) {
  const auto refuse_with = [&](std::error_code why) {
    throw std::system_error(why, path + ": the image could not be read");
  };
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) refuse_with(error);
  std::string bytes(size, 0);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file) refuse_with({errno != 0 ? errno : EIO, std::generic_category()});
  return bytes;
}

[[noreturn]] void refuse(const std::string& path, const std::string& found,
                         const std::string& expected) {
  throw std::system_error(errc::damaged, path + ": found " + found + ", expected " + expected);
}

// The regions of both segments must have the same places.
void check(const std::string& path, const std::string& image, const segment_constants& own) {
  if (image.size() < sizeof(segment_constants))
    refuse(path, std::to_string(image.size()) + " bytes",
           "an image of " + std::to_string(own.total_size));
  segment_constants other;
  std::memcpy(&other, image.data(), sizeof other);
  if (other.magic != own.magic) refuse(path, "no segment of outlive", "an image of a crash state");
  if (other.version != own.version) {
    refuse(path, "format version " + std::to_string(other.version),
           "version " + std::to_string(own.version));
  }
  const bool same = other.abi == own.abi && other.object_bytes == own.object_bytes &&
                    other.directory_capacity == own.directory_capacity &&
                    other.threads == own.threads && other.participants == own.participants &&
                    other.max_held == own.max_held && other.lock_classes == own.lock_classes;
  if (!same || image.size() != own.total_size) {
    refuse(
        path,
        "an image of a segment with " + std::to_string(image.size()) + " bytes and other options",
        std::to_string(own.total_size) +
            " bytes, as scenario::options says; the image belongs to another scenario");
  }
  if (std::memcmp(other.boot_id, own.boot_id, sizeof own.boot_id) != 0) {
    refuse(path, "an image of another boot of the machine",
           "one of this boot, because its thread ids may now belong to living threads");
  }
}

// In a thread of its own, which has ended when the image is loaded: the calling thread must have no
// thread record yet, because the image has the records of other threads.
void make_objects(const scenario& what, segment& seg) {
  if (!what.make) return;
  std::exception_ptr failure;
  std::thread([&] {
    try {
      what.make(seg);
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

// Everything except the constants, by which the segment knows its file, and this process's own
// entry among the participants.
void copy_bytes(segment& seg, const std::string& image, const region_layout& at) {
  char* const base = base_of(seg);
  std::uint64_t mine = at.participants;
  while (mine + sizeof(participant) < at.records &&
         reinterpret_cast<const participant*>(base + mine)->identity.load() >> 32 !=
             static_cast<std::uint64_t>(::getpid())) {
    mine += sizeof(participant);
  }
  const std::string own(base + mine, sizeof(participant));
  std::memcpy(base + sizeof(segment_constants), image.data() + sizeof(segment_constants),
              image.size() - sizeof(segment_constants));
  std::memcpy(base + mine, own.data(), own.size());
}

// An image does not say which mutexes its dead had in hand. So every mutex is tried, except shared
// ones.
std::vector<std::uint64_t> all_mutexes(const segment& seg, const region_layout& at) {
  std::vector<std::uint64_t> found;
  for (std::uint64_t offset = at.objects; offset + sizeof(lock_bytes) <= at.total;
       offset += sizeof(lock_bytes)) {
    const auto* const lock = reinterpret_cast<const lock_bytes*>(base_of(seg) + offset);
    if (lock->magic.load(std::memory_order_relaxed) == outlive::detail::native_lock_magic)
      found.push_back(offset);
  }
  return found;
}

}  // namespace

replayed replay(const scenario& what, const std::string& image) {
  const std::string bytes = read_image(image);
  segment seg = segment::anonymous(what.options);
  segment_constants constants;
  std::memcpy(&constants, seg.base(), sizeof constants);
  check(image, bytes, constants);
  make_objects(what, seg);
  const region_layout at = region_layout::of(constants);
  copy_bytes(seg, bytes, at);
  note(seg, 0);  // claims a thread record that is free in the image
  const auto registered = register_repairs(what, seg);
  const judgement made = judge(what, seg, all_mutexes(seg, at));
  return {made.result, made.what, made.recovered, made.repaired};
}

}  // namespace outlive::killtest
