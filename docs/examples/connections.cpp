// connections: eight workers share three connections. Workers are killed while they have one, and
// no connection is lost.
//
// With sem_t each of those deaths would lose a connection for ever.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include <outlive/permit_pool.hpp>
#include <outlive/segment.hpp>

namespace {

using connections = outlive::permit_pool<16>;  // room for 16

void work(connections& free, bool dies) {
  for (int i = 0; i < 1'000; ++i) {
    const outlive::permit connection = free.acquire();
    if (dies && i == 10) raise(SIGKILL);
    // ... use the connection ...
  }
}

}  // namespace

int main() {
  auto segment = outlive::segment::anonymous();
  auto& free = segment.find_or_construct<connections>("connections", 3u);

  constexpr int workers = 8, doomed = 5;
  for (int i = 0; i < workers; ++i) {
    const pid_t pid = fork();
    if (pid == -1) return std::perror("fork"), 1;
    if (pid == 0) {
      work(free, i < doomed);
      _exit(0);
    }
  }
  int killed = 0;
  for (int status = 0; wait(&status) > 0;) killed += WIFSIGNALED(status) ? 1 : 0;
  std::printf("%d of %d workers were killed with a connection; %u of %u are free\n", killed,
              workers, free.count(), free.size());
  return killed == doomed && free.count() == free.size() ? 0 : 1;
}
