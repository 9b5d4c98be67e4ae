// shared_counter: mmap, fork, and a counter that all children increase: the classic first exercise,
// done right.
//
// Right means: in shared memory, under a mutex that works between processes, and with a rule for
// the death of a child that holds it. Here one child dies, and the others continue.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <vector>

#include <outlive/guarded.hpp>
#include <outlive/repair.hpp>
#include <outlive/segment.hpp>

namespace {

constexpr long rounds = 20000;
constexpr long rounds_of_the_one_who_dies = 1234;

void count(outlive::guarded<long>& counter, bool dies) {
  for (long i = 0; i < rounds; ++i) {
    auto value = counter.lock();
    if (dies && i == rounds_of_the_one_who_dies) raise(SIGKILL);  // with the mutex held
    ++*value;
  }
}

}  // namespace

int main() {
  auto segment = outlive::segment::anonymous();
  // One store changes the counter, so that it is right before and after it, wherever a child dies.
  // That is a claim about the data, and outlive wants it in writing.
  auto repair = outlive::on_owner_death<long>(segment, "counter", outlive::always_consistent);
  auto& counter = segment.find_or_construct<outlive::guarded<long>>("counter", "counter");

  constexpr int children = 4;
  std::vector<pid_t> pids;
  for (int i = 0; i < children; ++i) {
    const pid_t pid = fork();
    if (pid == -1) return std::perror("fork"), 1;
    if (pid == 0) {
      count(counter, i == 0);
      _exit(0);
    }
    pids.push_back(pid);
  }

  int killed = 0;
  for (const pid_t pid : pids) {
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ++killed;
  }
  const long expected = (children - 1) * rounds + rounds_of_the_one_who_dies;
  const long found = *counter.lock();
  std::printf("%d of %d children were killed; counted %ld, expected %ld\n", killed, children, found,
              expected);
  return killed == 1 && found == expected ? 0 : 1;
}
