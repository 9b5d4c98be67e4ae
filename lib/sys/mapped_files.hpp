// Which files this process has mapped, according to the kernel.
#pragma once

#include <cstdint>
#include <vector>

namespace outlive::detail {

struct address_range {
  std::uint64_t begin, end;
};

// The shared, writable mappings of the file in this process. Throws the system's errors.
std::vector<address_range> writable_mappings_of(std::uint64_t device, std::uint64_t inode);

}  // namespace outlive::detail
