#include "crash/own_memory.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace outlive::crash {

bool own_memory::fetch(std::uint64_t begin) noexcept {
  const iovec to{piece_, piece_bytes};
  const iovec from{reinterpret_cast<void*>(begin), piece_bytes};  // NOLINT: the address is not ours to believe
  begin_ = 1;
  const ssize_t got = ::process_vm_readv(::getpid(), &to, 1, &from, 1, 0);
  if (got < 0 && (errno == EPERM || errno == ENOSYS)) {
    // A sandbox that forbids the call: a load then, whose fault ends the unwinding, and no more than that.
    std::memcpy(piece_, from.iov_base, piece_bytes);
  } else if (got != static_cast<ssize_t>(piece_bytes)) {
    return false;
  }
  begin_ = begin;
  return true;
}

bool own_memory::read(std::uint64_t address, std::uint64_t& word) noexcept {
  const std::uint64_t begin = address / piece_bytes * piece_bytes;
  if (address - begin > piece_bytes - sizeof word) return false;  // libunwind asks for aligned words
  if (begin != begin_ && !fetch(begin)) return false;
  std::memcpy(&word, piece_ + (address - begin), sizeof word);
  return true;
}

}  // namespace outlive::crash
