#include "killtest/survivor/workload.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <system_error>

#include <outlive/note.hpp>

#include "killtest/state/private_view.hpp"
#include "killtest/survivor/survivors.hpp"

namespace outlive::killtest::detail {

namespace {

std::vector<repair_registration> join(const scenario& what, segment& seg) {
  note(seg, 0);  // claims a thread record
  return register_repairs(what, seg);
}

}  // namespace

workload workload_of_victim(const scenario& what, const explore_options& how, segment& seg) {
  workload made;
  made.set_up = [&] {
    return how.from_first_use ? std::vector<repair_registration>() : join(what, seg);
  };
  made.tested = [&] { what.victim(seg); };
  return made;
}

workload workload_of_heir(const scenario& what, segment& seg,
                          const std::vector<std::uint64_t>& mutexes,
                          std::optional<std::uint64_t> alone) {
  workload made;
  made.set_up = [&] { return join(what, seg); };
  made.alone = alone;
  if (alone) {
    made.tested = [&seg, offset = *alone] { recover_alone(seg, offset); };
  } else {
    made.tested = [&] { static_cast<void>(recover_all(seg, mutexes)); };
  }
  return made;
}

void log_differences(store_log& log, const segment& seg, const std::vector<byte_range>& parts) {
  constexpr std::size_t chunk = 256;  // changes in one are logged as one
  const std::size_t size = seg.size_bytes();
  void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, seg.fd(), 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "the segment, to compare it");
  const auto* const before = static_cast<const std::byte*>(memory);
  const auto* const after = reinterpret_cast<const std::byte*>(base_of(seg));
  for (const byte_range& part : parts) {
    for (std::uint64_t at = part.begin; at < part.end; at += chunk) {
      const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(chunk, part.end - at));
      if (std::memcmp(before + at, after + at, bytes) != 0)
        log.add({.offset = at, .size = static_cast<std::uint32_t>(bytes)}, before + at, after + at);
    }
  }
  ::munmap(memory, size);
}

}  // namespace outlive::killtest::detail
