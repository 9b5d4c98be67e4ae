// jobs: four workers add up numbers, job by job. Some are killed in the middle of one, and one job
// kills every worker that does it. The sum is right anyway.
//
// With a pipe, or a message queue, each killed worker would lose its job.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>

#include <outlive/segment.hpp>
#include <outlive/work_queue.hpp>

namespace {

struct job {
  long number;
};
using job_queue = outlive::work_queue<job, 64>;

constexpr long jobs = 50, poison = 13, last = -1;

struct results {
  std::atomic<long> of[jobs];  // one for each job: doing it twice changes nothing
};

void work(job_queue& queue, results& done) {
  for (;;) {
    auto one = queue.pop();
    if (one->number == last) return one.done();
    if (one->number == poison) raise(SIGKILL);
    // an accident: the next worker finishes it
    if (one->number % 10 == 5 && one.tries() == 1) raise(SIGKILL);
    done.of[one->number] = one->number * one->number;
    one.done();
  }
}

pid_t start_worker(job_queue& queue, results& done) {
  const pid_t pid = fork();
  if (pid == 0) {
    work(queue, done);
    _exit(0);
  }
  return pid;
}

}  // namespace

int main() {
  auto segment = outlive::segment::anonymous();
  auto& queue =
      segment.find_or_construct<job_queue>("jobs", outlive::work_queue_options{.max_tries = 3});
  auto& done = segment.find_or_construct<results>("results");

  constexpr int workers = 4;
  for (int i = 0; i < workers; ++i) {
    if (start_worker(queue, done) == -1) return std::perror("fork"), 1;
  }
  for (long i = 0; i < jobs; ++i) queue.push({i});

  int killed = 0, running = workers;
  bool shown = false;
  while (running > 0) {
    const auto left = queue.counts();
    if (!shown && left.waiting + left.leased == 0) {
      for (int i = 0; i < running; ++i) queue.push({last});
      shown = true;
    }
    int status = 0;
    if (waitpid(-1, &status, WNOHANG) == 0) {
      usleep(1'000);
    } else if (WIFSIGNALED(status)) {
      ++killed;
      if (start_worker(queue, done) == -1) return std::perror("fork"), 1;
    } else {
      --running;
    }
  }

  long sum = 0, expected = 0;
  for (long i = 0; i < jobs; ++i) sum += done.of[i];
  for (long i = 0; i < jobs; ++i) expected += i == poison ? 0 : i * i;
  std::printf("%d workers were killed; the sum is %ld, expected %ld\n", killed, sum, expected);
  unsigned letters = 0;
  while (auto letter = queue.pop_dead_letter()) {
    std::printf("job %ld was tried %u times, and killed", letter->number, letter.tries());
    for (const auto& dead : letter.died_on_it()) std::printf(" %d", dead.pid);
    std::printf("\n");
    letter.done();
    ++letters;
  }
  return sum == expected && letters == 1 && killed == 8 ? 0 : 1;
}
