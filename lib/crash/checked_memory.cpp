#include "crash/checked_memory.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace outlive::crash {

checked_memory::checked_memory() noexcept : of_(::getpid()), own_(true) {}

bool checked_memory::fetch(std::uint64_t begin) noexcept {
  const iovec to{piece_, piece_bytes};
  const iovec from{reinterpret_cast<void*>(begin), piece_bytes};
  begin_ = 1;
  const ssize_t got = ::process_vm_readv(of_, &to, 1, &from, 1, 0);
  if (got < 0 && own_ && (errno == EPERM || errno == ENOSYS)) {
    // A sandbox forbids the call. Then a load is used; its fault ends the unwinding and nothing
    // else.
    std::memcpy(piece_, from.iov_base, piece_bytes);
  } else if (got != static_cast<ssize_t>(piece_bytes)) {
    return false;
  }
  begin_ = begin;
  return true;
}

bool checked_memory::word(std::uint64_t address, std::uint64_t& into) noexcept {
  std::uint64_t value = 0;
  if (!bytes(address, &value, sizeof value)) return false;
  into = value;
  return true;
}

bool checked_memory::bytes(std::uint64_t address, void* into, std::size_t size) noexcept {
  auto* to = static_cast<unsigned char*>(into);
  while (size != 0) {
    const std::uint64_t begin = address / piece_bytes * piece_bytes;
    if (begin != begin_ && !fetch(begin)) return false;
    const std::uint64_t in_piece = address - begin;
    const std::size_t count = std::min<std::size_t>(size, piece_bytes - in_piece);
    std::memcpy(to, piece_ + in_piece, count);
    to += count;
    address += count;
    size -= count;
  }
  return true;
}

}  // namespace outlive::crash
