// A segment with one of everything that can become of a mutex, for tests of the tool:
//   scene SEGMENT
//
// "bank" is held by this process, and a child waits for it; the owner of "vault" died and the
// repair failed; that of "drawer" died, and nobody has met that yet; "shelf" is free. Says "ready"
// when all is so, and ends, with its child, at the end of its stdin.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <string_view>

#include <outlive/outlive.hpp>
#include <outlive/segment_view.hpp>

namespace {

using amount = outlive::guarded<long>;

void die_holding(amount& x) {
  const pid_t child = fork();
  if (child == 0) {
    auto hold = x.lock();
    raise(SIGKILL);
  }
  waitpid(child, nullptr, 0);
}

bool somebody_waits(const outlive::segment& segment) {
  for (const auto& thread : outlive::segment_view(segment).threads()) {
    if (thread.waiting_for) return true;
  }
  return false;
}

int run(const char* name) {
  auto segment = outlive::segment::create(name);
  const auto repair = outlive::on_owner_death<long>(
      segment, "savings", [](long&, const outlive::owner_death&) { return outlive::failed; });
  auto& bank = segment.find_or_construct<amount>("bank", "accounts");
  segment.find_or_construct<amount>("shelf", "accounts");
  die_holding(segment.find_or_construct<amount>("vault", "savings"));
  (void)outlive::recover(segment);
  die_holding(segment.find_or_construct<amount>("drawer", "savings"));
  auto hold = bank.lock();
  outlive::note(segment, 7);
  const pid_t waiter = fork();
  if (waiter == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    auto mine = bank.lock();
    _exit(0);
  }
  while (!somebody_waits(segment)) usleep(1000);
  std::puts("ready");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  hold.unlock();
  waitpid(waiter, nullptr, 0);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 64;
  try {
    return run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "scene: %s\n", error.what());
    return 3;
  }
}
