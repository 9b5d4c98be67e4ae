// mailbox: one process sends letters, another waits for them. The sender dies in the middle of one,
// and a new one continues.
//
// With pthread's process-shared condition variable the receiver would hang once a process was
// killed in a wait or a notification.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>

#include <outlive/guarded.hpp>
#include <outlive/repair.hpp>
#include <outlive/robust_condition_variable.hpp>
#include <outlive/segment.hpp>

namespace {

struct mailbox {
  bool full = false;
  long number = 0;             // of the last complete letter
  std::array<long, 4> text{};  // invariant: while full, all four are `number`
};

using guarded_mailbox = outlive::guarded<mailbox>;
using condition = outlive::robust_condition_variable;

constexpr long letters = 1'000;
constexpr long torn = 500;

// `number` changes last: a partly written letter does not count, and is written again.
void send(guarded_mailbox& box, condition& emptied, condition& filled, bool dies) {
  for (;;) {
    auto x = box.lock();
    emptied.wait(x, [&] { return !x->full; });
    const long next = x->number + 1;
    if (next > letters) return;
    x->text[0] = x->text[1] = next;
    if (dies && next == torn) raise(SIGKILL);
    x->text[2] = x->text[3] = next;
    x->number = next;
    x->full = true;
    x.unlock();
    filled.notify_one();
  }
}

pid_t start_sender(guarded_mailbox& box, condition& emptied, condition& filled, bool dies) {
  const pid_t pid = fork();
  if (pid == 0) {
    send(box, emptied, filled, dies);
    _exit(0);
  }
  return pid;
}

}  // namespace

int main() {
  using namespace std::chrono_literals;
  auto segment = outlive::segment::anonymous();
  // An heir may leave a partly written letter: nobody reads it unless `full` is set.
  auto repair = outlive::on_owner_death<mailbox>(segment, "mailbox", outlive::always_consistent);
  auto& box = segment.find_or_construct<guarded_mailbox>("box", "mailbox");
  auto& filled = segment.find_or_construct<condition>("box was filled");
  auto& emptied = segment.find_or_construct<condition>("box was emptied");

  start_sender(box, emptied, filled, true);
  bool killed = false;
  long whole = 0;
  for (long expected = 1; expected <= letters; ++expected) {
    auto x = box.lock();
    while (!filled.wait_for(x, 1s, [&] { return x->full; })) {
      x.unlock();
      if (int status = 0; waitpid(-1, &status, WNOHANG) > 0 && WIFSIGNALED(status)) {
        killed = true;
        start_sender(box, emptied, filled, false);
      }
      x.lock();
    }
    for (const long line : x->text) whole += line == expected ? 1 : 0;
    x->full = false;
    x.unlock();
    emptied.notify_one();
  }
  wait(nullptr);
  std::printf("the sender was killed in letter %ld; %ld of %ld letters arrived whole\n", torn,
              whole / 4, letters);
  return killed && whole == 4 * letters ? 0 : 1;
}
