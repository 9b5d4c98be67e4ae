#include "bench/peers.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

namespace outlive::testing {

namespace {

int unnamed_file() {
  const int fd = ::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  require(fd >= 0, "no unnamed file in /dev/shm");
  return fd;
}

int sem_undo_id = -1;
pid_t sem_undo_owner = 0;

}  // namespace

void* shared_cells(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  require(memory != MAP_FAILED, "no shared memory");
  return memory;
}

void init_raw_mutex(pthread_mutex_t* mutex, raw_kind kind) {
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  if (kind != raw_kind::normal) ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  if (kind == raw_kind::robust_errorcheck)
    ::pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  const int rc = ::pthread_mutex_init(mutex, &attributes);
  ::pthread_mutexattr_destroy(&attributes);
  require(rc == 0, "pthread_mutex_init");
}

pthread_mutex_t* make_raw_mutex(raw_kind kind) {
  auto* mutex = ::new (shared_cells(64)) pthread_mutex_t;
  init_raw_mutex(mutex, kind);
  return mutex;
}

flock_pairs::flock_pairs() : fd_(unnamed_file()) {}
void flock_pairs::operator()(std::size_t count) const {
  for (std::size_t i = 0; i < count; ++i) {
    ::flock(fd_, LOCK_EX);
    ::flock(fd_, LOCK_UN);
  }
}

ofd_pairs::ofd_pairs() : fd_(unnamed_file()) {}
void ofd_pairs::operator()(std::size_t count) const {
  struct flock range {};
  range.l_whence = SEEK_SET;
  for (std::size_t i = 0; i < count; ++i) {
    range.l_type = F_WRLCK;
    ::fcntl(fd_, F_OFD_SETLKW, &range);
    range.l_type = F_UNLCK;
    ::fcntl(fd_, F_OFD_SETLKW, &range);
  }
}

sem_undo_pairs::sem_undo_pairs() : id_(::semget(IPC_PRIVATE, 1, 0600)) {
  require(id_ >= 0, "semget");
  sem_undo_id = id_;
  sem_undo_owner = ::getpid();
  std::atexit([] {
    if (::getpid() == sem_undo_owner) ::semctl(sem_undo_id, 0, IPC_RMID);
  });
  require(::semctl(id_, 0, SETVAL, 1) == 0, "semctl");
}
void sem_undo_pairs::operator()(std::size_t count) const {
  sembuf down{0, -1, SEM_UNDO};
  sembuf up{0, 1, SEM_UNDO};
  for (std::size_t i = 0; i < count; ++i) {
    ::semop(id_, &down, 1);
    ::semop(id_, &up, 1);
  }
}

}  // namespace outlive::testing
