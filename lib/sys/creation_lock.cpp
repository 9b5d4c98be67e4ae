#include "sys/creation_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <mutex>
#include <utility>

#include "sys/at_load.hpp"
#include "sys/fork_epoch.hpp"
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

// All creation locks of the process, for a forked child. Its mutex is held over a fork.
struct live_creation_locks {
  std::mutex mutex;
  creation_lock* first = nullptr;

  static live_creation_locks& instance() {
    static live_creation_locks& made = []() -> live_creation_locks& {
      // never destroyed: threads may end after static destruction
      auto turns = std::make_unique<live_creation_locks>();
      prepare_process_epoch();
      around_fork([] { instance().mutex.lock(); }, [] { instance().after_fork(); });
      return *turns.release();
    }();
    return made;
  }

 private:
  // In the child: lets go of the parent's locks. Closing the child's descriptors leaves them with
  // the parent.
  void after_fork() noexcept {
    for (creation_lock** link = &first; *link != nullptr;) {
      creation_lock& each = **link;
      if (each.epoch_ == process_epoch()) {
        link = &each.next_;
        continue;
      }
      { const file_descriptor closed = std::exchange(each.folder_, file_descriptor()); }
      each.held_ = false;
      *link = each.next_;
    }
    mutex.unlock();
  }
};

namespace {

const made_at_load turns_at_load([] { live_creation_locks::instance(); });

}  // namespace

creation_lock::creation_lock(const std::string& folder, std::uint64_t name_hash) noexcept
    : byte_(static_cast<std::int64_t>(name_hash >> 2)), epoch_(process_epoch()) {
  live_creation_locks& turns = live_creation_locks::instance();
  const std::lock_guard no_fork(turns.mutex);
  folder_ = file_descriptor(open_folder(folder));
  next_ = std::exchange(turns.first, this);
}

creation_lock::~creation_lock() {
  live_creation_locks& turns = live_creation_locks::instance();
  const std::lock_guard no_fork(turns.mutex);
  creation_lock** link = &turns.first;
  while (*link != nullptr && *link != this) link = &(*link)->next_;
  if (*link != nullptr) *link = next_;  // a forked child has taken it out
  if (!held_ || !folder_.is_ours()) return;
  // Unlocked explicitly: a process made by a raw clone shares the lock, and would keep it for as
  // long as it lives.
  struct flock range = one_byte(F_UNLCK, byte_);
  ::fcntl(folder_.get(), F_OFD_SETLK, &range);
}

// A folder cannot be opened for writing, so its bytes can only be locked for reading, which
// excludes nobody. Therefore the whole folder is locked for the few calls that look for another's
// lock and set this one.
bool creation_lock::try_acquire() noexcept {
  if (!folder_.is_ours()) return true;
  if (::flock(folder_.get(), LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
  struct flock range = one_byte(F_WRLCK, byte_);
  const bool asked = ::fcntl(folder_.get(), F_OFD_GETLK, &range) == 0;
  const bool free = !asked || range.l_type == F_UNLCK;
  if (free) {
    range = one_byte(F_RDLCK, byte_);
    held_ = ::fcntl(folder_.get(), F_OFD_SETLK, &range) == 0;
  }
  ::flock(folder_.get(), LOCK_UN);
  return free;
}

}  // namespace outlive::detail
