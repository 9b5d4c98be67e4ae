// several_locks: a transfer between two accounts, each with a lock of its own, that is all or
// nothing even if its owner dies.
//
// outlive::lock() acquires both without a deadlock. The death of their owner is two deaths for two
// repairs, which may run in two processes at the same time, so each may touch only its own account.
// They are tied together by a note of the old balances and one word with a bit for each account:
// "undo me". One store sets both bits, one store clears both: the commit.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <string>

#include <outlive/outlive.hpp>

namespace {

struct account {
  long balance = 500;  // invariant over both: the sum is 1000
};

using accounts = std::array<outlive::guarded<account>*, 2>;

struct transfer {
  long before[2] = {};  // written under both locks, while `undo` is 0
  // bit i: account i must be rolled back. An heir of account i clears its bit.
  std::atomic<unsigned> undo{0};
};

// Keeps the compiler from moving stores across it. A killed process has done all stores before the
// kill.
void crash_barrier() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

// Dies before step `fatal`, with both locks held.
void move_money(const accounts& all, transfer& open, long amount, int fatal) {
  const auto step = [&](int number) {
    if (number == fatal) raise(SIGKILL);
  };
  auto [from, to] = outlive::lock(*all[0], *all[1]);
  step(1);
  open.before[0] = from->balance;
  open.before[1] = to->balance;
  crash_barrier();  // the old balances before the bits that make them count
  open.undo = 3;
  crash_barrier();  // the bits before the first change
  step(2);
  from->balance -= amount;
  step(3);
  to->balance += amount;
  step(4);
  open.undo = 0;  // an atomic store: it comes after the balances
  step(5);
}

}  // namespace

int main() {
  auto segment = outlive::segment::anonymous();
  auto& open = segment.find_or_construct<transfer>("transfer");
  accounts all{};
  std::array<outlive::repair_registration, 2> repairs;
  for (unsigned i = 0; i < 2; ++i) {
    all[i] = &segment.find_or_construct<outlive::guarded<account>>("account " + std::to_string(i),
                                                                   "account");
    repairs[i] = outlive::on_owner_death(all[i]->mutex(), [&, i](const outlive::owner_death&) {
      if ((open.undo & (1u << i)) != 0) all[i]->unguarded().balance = open.before[i];
      open.undo.fetch_and(~(1u << i));
      return outlive::repaired;
    });
  }

  bool good = true;
  long expected_from = 500;
  for (int fatal = 1; fatal <= 6; ++fatal) {  // 6: nobody dies
    const pid_t child = fork();
    if (child == 0) {
      move_money(all, open, 10, fatal);
      _exit(0);
    }
    int status = 0;
    if (child == -1 || waitpid(child, &status, 0) != child) return 1;
    if (fatal >= 5) expected_from -= 10;

    const auto [first, second] = outlive::lock(*all[0], *all[1]);
    const long from = first->balance, to = second->balance;
    std::printf("%s: %ld + %ld\n", WIFSIGNALED(status) ? "killed, repaired" : "not killed", from,
                to);
    good = good && WIFSIGNALED(status) == (fatal < 6) && from == expected_from && from + to == 1000;
    good = good && first.recovered() == (fatal < 6) && second.recovered() == (fatal < 6);
  }
  std::puts(good ? "no money was lost" : "FAILED");
  return good ? 0 : 1;
}
