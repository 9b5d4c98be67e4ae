// Which files this process has mapped, as the kernel tells it.
#pragma once

#include <cstdint>
#include <vector>

namespace outlive::detail {

struct address_range {
  std::uint64_t begin, end;
};

// Where this process has the file mapped shared and writable. Throws the system's errors.
std::vector<address_range> writable_mappings_of(std::uint64_t device, std::uint64_t inode);

}  // namespace outlive::detail
