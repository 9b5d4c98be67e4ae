#include "crash/checked_memory.hpp"

#include <sys/uio.h>
#include <unistd.h>

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
    // A sandbox that forbids the call: a load then, whose fault ends the unwinding, and no more than that.
    std::memcpy(piece_, from.iov_base, piece_bytes);
  } else if (got != static_cast<ssize_t>(piece_bytes)) {
    return false;
  }
  begin_ = begin;
  return true;
}

bool checked_memory::word(std::uint64_t address, std::uint64_t& into) noexcept {
  const std::uint64_t begin = address / piece_bytes * piece_bytes;
  if (address % sizeof into != 0 || (begin != begin_ && !fetch(begin))) return false;
  std::memcpy(&into, piece_ + (address - begin), sizeof into);
  return true;
}

bool checked_memory::bytes(std::uint64_t address, void* into, std::size_t size) noexcept {
  for (std::size_t i = 0; i < size; ++i) {
    std::uint64_t value = 0;
    const std::uint64_t at = address + i;
    if (!word(at & ~std::uint64_t{7}, value)) return false;
    static_cast<unsigned char*>(into)[i] = static_cast<unsigned char>(value >> (at % 8 * 8));
  }
  return true;
}

}  // namespace outlive::crash
