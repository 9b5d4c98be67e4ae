// A worker for the tests of `outlive torture`: moves money between two accounts of a segment until
// it is killed.
//
//   bank_worker MODE SEGMENT
//
// MODE: transfer   with an undo journal, which the repair plays back
//       careless   without: its repair says that there is nothing to repair, and money is lost
//       unable     has no repair at all
//       slow       as transfer, with a repair that takes a while
//       threads    as transfer, in two threads of a child process
//       polite     as transfer; says so and ends with exit code 0 at SIGTERM
//       crash      as transfer; the first worker ends by SIGSEGV after a while
//       check      exit code 0 if the money is all there; repairs what it meets
//       stuck      as check, but never ends
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <thread>

#include <outlive/outlive.hpp>

namespace {

constexpr long total = 1'000'000;

struct accounts {
  long a = total / 2, b = total / 2;
  long old_a = 0, old_b = 0;
  bool under_way = false;  // the old values count
};

void crash_barrier() noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

volatile std::sig_atomic_t asked_to_end = 0;

void work_a_little() {
  for (int i = 0; i < 2000; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
}

void transfer(accounts& x, long amount) {
  x.old_a = x.a;
  x.old_b = x.b;
  crash_barrier();
  x.under_way = true;
  crash_barrier();
  x.a -= amount;
  crash_barrier();
  work_a_little();
  x.b += amount;
  crash_barrier();
  x.under_way = false;
}

outlive::repair_result roll_back(accounts& x, const outlive::owner_death&) {
  if (!x.under_way) return outlive::repaired;
  x.a = x.old_a;
  x.b = x.old_b;
  crash_barrier();
  x.under_way = false;
  return outlive::repaired;
}

outlive::repair_registration repair_of(std::string_view mode, const outlive::segment& segment) {
  if (mode == "careless")
    return outlive::on_owner_death<accounts>(segment, "accounts", outlive::always_consistent);
  if (mode == "unable") return {};
  if (mode != "slow") return outlive::on_owner_death<accounts>(segment, "accounts", roll_back);
  return outlive::on_owner_death<accounts>(segment, "accounts",
                                           [](accounts& x, const outlive::owner_death& death) {
                                             for (int i = 0; i < 20'000; ++i) work_a_little();
                                             return roll_back(x, death);
                                           });
}

void transfer_until_killed(outlive::guarded<accounts>& bank, bool crashing) {
  for (long i = 1; asked_to_end == 0; ++i) {
    {
      auto x = bank.lock();
      transfer(*x, i % 100);
    }
    if (crashing && i == 500) std::raise(SIGSEGV);
    work_a_little();
  }
}

int check(outlive::guarded<accounts>& bank) {
  auto x = bank.lock();
  if (x->a + x->b == total) return 0;
  std::fprintf(stderr, "found %ld + %ld, expected a sum of %ld\n", x->a, x->b, total);
  return 1;
}

int run(std::string_view mode, const char* name) {
  auto segment = outlive::segment::open_or_create(name);
  const auto repair = repair_of(mode, segment);
  auto& bank = segment.find_or_construct<outlive::guarded<accounts>>("bank", "accounts");
  if (mode == "stuck") {
    for (;;) pause();
  }
  if (mode == "check") return check(bank);
  if (mode == "polite") std::signal(SIGTERM, [](int) { asked_to_end = 1; });
  if (mode == "threads" && fork() != 0) {
    for (;;) pause();
  }
  const char* const worker = std::getenv("OUTLIVE_TORTURE_WORKER");
  std::thread second;
  if (mode == "threads") {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    second = std::thread([&] { transfer_until_killed(bank, false); });
  }
  transfer_until_killed(bank,
                        mode == "crash" && worker != nullptr && std::string_view(worker) == "0");
  std::fputs("bank_worker: ends as asked\n", stderr);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  try {
    return run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bank_worker: %s\n", error.what());
    return 3;
  }
}
