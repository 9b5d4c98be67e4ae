#include "sys/creation_turn.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "sys/no_cancellation.hpp"

namespace outlive::detail {

namespace {

struct flock one_byte(int kind, std::int64_t byte) noexcept {
  struct flock range {};
  range.l_type = static_cast<short>(kind);
  range.l_whence = SEEK_SET;
  range.l_start = byte;
  range.l_len = 1;
  return range;
}

int open_folder(const std::string& folder) noexcept {
  const no_cancellation here;
  return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

}  // namespace

creation_turn::creation_turn(const std::string& folder, std::uint64_t name_hash) noexcept
    : folder_(open_folder(folder)), byte_(static_cast<std::int64_t>(name_hash >> 2)) {}

creation_turn::~creation_turn() {
  if (!taken_) return;
  // By hand: a child that another thread has forked meanwhile shares the lock, and would keep it for as long as it lives.
  struct flock range = one_byte(F_UNLCK, byte_);
  ::fcntl(folder_.get(), F_OFD_SETLK, &range);
}

// A folder cannot be opened to be written, so its bytes cannot be locked but to be read, which excludes nobody. So whoever looks for another's lock
// and sets its own has the whole folder locked in between, for these few calls.
bool creation_turn::try_take() noexcept {
  if (!folder_) return true;
  if (::flock(folder_.get(), LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
  struct flock range = one_byte(F_WRLCK, byte_);
  const bool asked = ::fcntl(folder_.get(), F_OFD_GETLK, &range) == 0;
  const bool free = !asked || range.l_type == F_UNLCK;
  if (free) {
    range = one_byte(F_RDLCK, byte_);
    taken_ = ::fcntl(folder_.get(), F_OFD_SETLK, &range) == 0;
  }
  ::flock(folder_.get(), LOCK_UN);
  return free;
}

}  // namespace outlive::detail
