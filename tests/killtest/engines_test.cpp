// The engines find the same crash states; the one that is chosen fits the victim.
#include <outlive/killtest/gtest.hpp>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iostream>
#include <vector>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

std::vector<std::uint64_t> hashes_of(const report& found) {
  std::vector<std::uint64_t> hashes;
  for (const crash_state& each : found.states) hashes.push_back(each.hash);
  std::sort(hashes.begin(), hashes.end());
  return hashes;
}

bool has_protection_keys() {
  const int key = ::pkey_alloc(0, 0);
  if (key >= 0) ::pkey_free(key);
  return key >= 0;
}

report explore_by(engine which, const scenario& what, unsigned depth = 1) {
  explore_options how;
  how.with = which;
  how.depth = depth;
  how.confirm = 8;
  return explore(what, how);
}

// ---- engines that let stores fault -------------------------------------------------------------
// Page protection finds what single steps find; protection keys, what page protection finds. Not
// all of them what single steps find: where the keys are emulated, a single step takes a hundred
// times as long.
class write_faults : public ::testing::TestWithParam<engine> {
 protected:
  void SetUp() override {
    if (GetParam() == engine::protection_keys && !has_protection_keys())
      GTEST_SKIP() << "this machine has no memory protection keys";
  }

  static void expect_the_same_states(const scenario& what, unsigned depth = 1) {
    const engine other =
        GetParam() == engine::protection_keys ? engine::page_protection : engine::single_step;
    const report found = explore_by(GetParam(), what, depth);
    const report expected = explore_by(other, what, depth);
    EXPECT_EQ(found.used, GetParam());
    EXPECT_EQ(expected.used, other);
    ASSERT_FALSE(found.states.empty()) << found;
    EXPECT_EQ(hashes_of(found), hashes_of(expected)) << found << expected;
    EXPECT_EQ(found.stores, expected.stores);
    EXPECT_EQ(found.failed(), expected.failed());
    EXPECT_EQ(found.confirmed, expected.confirmed);
    EXPECT_GT(found.confirmed, 0U);
  }
};

INSTANTIATE_TEST_SUITE_P(by, write_faults,
                         ::testing::Values(engine::page_protection, engine::protection_keys),
                         [](const auto& each) {
                           return each.param == engine::page_protection ? "page_protection"
                                                                        : "protection_keys";
                         });

TEST_P(write_faults, find_the_states_that_the_next_engine_finds) {
  using repair_of_bank = repair_result (*)(bank&, const owner_death&);
  for (const auto& [repair, depth] :
       {std::pair<repair_of_bank, unsigned>{&undo_in_order, 1}, {&clear_flag_first, 2}}) {
    expect_the_same_states(bank_scenario(repair), depth);
  }
}

struct two_pages {
  unsigned char bytes[8192] = {};
};

TEST_P(write_faults, see_a_store_across_two_pages_as_one) {
  scenario what;
  what.name = "stores across pages";
  what.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<two_pages>>("pages", "pages"));
  };
  what.repairs = [](segment& seg) {
    return all_of(on_owner_death<two_pages>(
        seg, "pages", [](two_pages&, const owner_death&) { return repaired; }));
  };
  what.victim = [](segment& seg) {
    auto held = seg.find<guarded<two_pages>>("pages")->lock();
    unsigned char* const border =
        held->bytes + (4096 - reinterpret_cast<std::uintptr_t>(held->bytes) % 4096) % 4096;
    unsigned char* const second = border == held->bytes ? border + 4096 : border;
    for (const int before : {4, 1, 7, 0, 8}) {
      const std::uint64_t word = 0x0101010101010101U * static_cast<unsigned>(before + 1);
      asm volatile("movq %1, %0"
                   : "=m"(*reinterpret_cast<unsigned char(*)[8]>(second - before))
                   : "r"(word));
    }
  };
  expect_the_same_states(what);
}

// Each form of mov that the engine makes itself, with each kind of address, and some that it leaves
// to the processor. The registers' other bytes are not 0, so that a wrong width shows.
void store_by_each_form(unsigned char* at) {
#if defined(__x86_64__)
  const std::uint64_t base = reinterpret_cast<std::uintptr_t>(at);
  const std::uint64_t index = 2;
  std::uint64_t value = 0x1122334455667788;
  asm volatile(
      "movq $-123456789, %%r9\n\t"
      "movq $-987654321, %%rsi\n\t"
      "movb %%al, (%[base])\n\t"
      "movb %%ah, 1(%[base])\n\t"
      "movb %%r9b, 2(%[base])\n\t"
      "movb %%sil, 3(%[base])\n\t"
      "movw %%ax, 4(%[base])\n\t"
      "movl %%eax, 8(%[base])\n\t"
      "movq %%rax, 16(%[base])\n\t"
      "movq %%r9, 24(%[base])\n\t"
      "movb $-3, 32(%[base])\n\t"
      "movw $-3, 34(%[base])\n\t"
      "movl $-3, 36(%[base])\n\t"
      "movq $-3, 40(%[base])\n\t"
      "movl %%eax, 40(%[base],%[index],4)\n\t"
      "movq %%r9, 300(%[base],%[index],8)\n\t"
      "leaq 640(%[base]), %%r12\n\t"
      "leaq 704(%[base]), %%r13\n\t"
      "movq %%rax, (%%r12)\n\t"
      "movq %%rax, (%%r13)\n\t"
      "movq %%rax, -8(%%r13)\n\t"
      "movl $7, 8(%%r13,%[index],1)\n\t"
      "movq %[index], %%r12\n\t"
      "movl %%eax, 32(%%r13,%%r12,2)\n\t"
      :
      : [base] "D"(base), [index] "c"(index), "a"(value)
      : "r9", "rsi", "r12", "r13", "memory");
  const double number = -1.5;
  asm volatile(
      "movq %%rax, %%xmm3\n\t"
      "punpcklqdq %%xmm3, %%xmm3\n\t"
      "movaps %%xmm3, %%xmm9\n\t"
      "addsd %[number], %%xmm9\n\t"
      "movaps %%xmm3, 768(%[base])\n\t"
      "movups %%xmm9, 785(%[base])\n\t"
      "movdqa %%xmm9, 816(%[base])\n\t"
      "movdqu %%xmm3, 833(%[base])\n\t"
      "movapd %%xmm3, 864(%[base])\n\t"
      "movss %%xmm3, 896(%[base])\n\t"
      "movsd %%xmm9, 904(%[base])\n\t"
      "movlps %%xmm9, 912(%[base])\n\t"
      "movhps %%xmm9, 920(%[base])\n\t"
      "movd %%xmm3, 928(%[base])\n\t"
      "movq %%xmm9, 936(%[base])\n\t"
      "movq %%xmm3, 944(%[base])\n\t"
      "addl $5, 952(%[base])\n\t"
      "lock incq 960(%[base])\n\t"
      "xchgq %%rax, 968(%[base])\n\t"
      "cld\n\t"
      "leaq 976(%[base]), %%rdi\n\t"
      "movl $3, %%ecx\n\t"
      "rep stosb\n\t"
      : "+a"(value)
      : [base] "b"(base), [number] "x"(number)
      : "rcx", "rdi", "xmm3", "xmm9", "memory", "cc");
#endif
}

TEST_P(write_faults, see_each_form_of_a_store_as_the_next_engine_does) {
  scenario what;
  what.name = "forms of stores";
  what.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded<two_pages>>("pages", "pages"));
  };
  what.repairs = [](segment& seg) {
    return all_of(on_owner_death<two_pages>(
        seg, "pages", [](two_pages&, const owner_death&) { return repaired; }));
  };
  what.victim = [](segment& seg) {
    auto held = seg.find<guarded<two_pages>>("pages")->lock();
    const auto at = reinterpret_cast<std::uintptr_t>(held->bytes);
    store_by_each_form(held->bytes + (64 - at % 64) % 64);
  };
  expect_the_same_states(what);
}

volatile long* counter_of_handler = nullptr;

void add_in_handler(int) {
  *counter_of_handler = *counter_of_handler + 1;
  *counter_of_handler = *counter_of_handler + 1;
}

TEST_P(write_faults, see_what_a_signal_handler_of_the_victim_does) {
  scenario what = bank_scenario(&undo_in_order);
  what.victim = [](segment& seg) {
    auto held = seg.find<guarded<bank>>("accounts")->lock();
    counter_of_handler = &held->undo.b;
    ::signal(SIGUSR1, &add_in_handler);
    ::raise(SIGUSR1);
    *counter_of_handler = 100;
    ::raise(SIGUSR1);
    ::signal(SIGUSR1, SIG_DFL);
  };
  expect_the_same_states(what);
}

/// In a child, in which the value becomes 8, and in the calling process stays 7.
void store_in_a_child(volatile long& value) {
  const pid_t child = ::fork();
  if (child == 0) {
    value = 8;
    ::_exit(value == 8 ? 0 : 1);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) throw std::runtime_error("no child");
  if (status != 0) throw std::runtime_error("the child does not see its store");
  if (value != 7) throw std::runtime_error("the victim sees the store of its child");
}

// The victim's view is private, and so is the child's copy of it. What the child stores is no state
// of the victim.
TEST_P(write_faults, leave_the_stores_of_a_forked_child_to_the_child) {
  const auto explore_with = [](bool child) {
    scenario what = bank_scenario(&undo_in_order);
    what.victim = [=](segment& seg) {
      auto held = seg.find<guarded<bank>>("accounts")->lock();
      volatile long& value = held->undo.b;
      value = 7;
      if (child) store_in_a_child(value);
      value = 9;
    };
    explore_options how;
    how.with = GetParam();
    how.depth = 1;
    how.confirm = 0;  // for a real kill the view is shared
    return explore(what, how);
  };
  const report found = explore_with(true);
  EXPECT_TRUE(found.ok()) << found;
  const report expected = explore_with(false);
  EXPECT_EQ(found.stores, expected.stores);
  EXPECT_EQ(hashes_of(found), hashes_of(expected)) << found << expected;
}

TEST_P(write_faults, leave_out_stores_that_change_nothing) {
  scenario what = bank_scenario(&undo_in_order);
  what.victim = [](segment& seg) {
    auto held = seg.find<guarded<bank>>("accounts")->lock();
    volatile long* const same = &held->undo.b;
    *same = 7;
    for (int i = 0; i < 10; ++i) *same = 7;
  };
  expect_the_same_states(what, 2);
}

TEST(engines, protection_keys_that_are_wanted_where_there_are_none_are_an_error) {
  const report found = explore_by(engine::protection_keys, bank_scenario(&undo_in_order));
  if (has_protection_keys()) {
    EXPECT_TRUE(found.ok()) << found;
    EXPECT_EQ(explore_by(engine::automatic, bank_scenario(&undo_in_order)).used,
              engine::protection_keys)
        << "the fastest one is preferred";
    return;
  }
  EXPECT_FALSE(found.ok()) << found;
  EXPECT_NE(found.fault.find("pkey_alloc"), std::string::npos) << found;
}

TEST(engines, the_same_states_have_the_same_hashes_in_each_run) {
  const scenario what = bank_scenario(&undo_in_order);
  EXPECT_EQ(hashes_of(explore_by(engine::automatic, what)),
            hashes_of(explore_by(engine::automatic, what)));
}

TEST(engines, single_steps_are_taken_when_a_system_call_writes_into_the_segment) {
  scenario reads = bank_scenario(&undo_in_order);
  reads.victim = [](segment& seg) {
    auto held = seg.find<guarded<bank>>("accounts")->lock();
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
    const long amount = 7;
    static_cast<void>(::write(ends[1], &amount, sizeof amount));
    static_cast<void>(::read(ends[0], &held->undo.b, sizeof amount));
    ::close(ends[0]);
    ::close(ends[1]);
  };
  const report found = explore_by(engine::automatic, reads);
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_EQ(found.used, engine::single_step);
  EXPECT_NE(found.engine_reason.find("system calls"), std::string::npos) << found.engine_reason;
  EXPECT_NE(found.summary().find("single steps: by p"), std::string::npos) << found;
  const report forced = explore_by(engine::page_protection, reads);
  EXPECT_FALSE(forced.ok()) << "an engine that does not see the store must not pass";
  EXPECT_NE(forced.fault.find("system calls"), std::string::npos) << forced;
}

repair_result undo_by_system_call(bank& of, const owner_death&) {
  if (of.undo.valid == 0) return repaired;
  int ends[2];
  if (::pipe(ends) != 0) return failed;
  const long old[] = {of.undo.a, of.undo.b};
  const bool done = ::write(ends[1], old, sizeof old) == sizeof old &&
                    ::read(ends[0], &of.a, sizeof of.a) == sizeof of.a &&
                    ::read(ends[0], &of.b, sizeof of.b) == sizeof of.b;
  ::close(ends[0]);
  ::close(ends[1]);
  if (!done) return failed;
  crash_barrier();
  of.undo.valid = 0;
  return repaired;
}

TEST(engines, single_steps_are_taken_when_a_system_call_of_a_repair_writes_into_the_segment) {
  const report found = explore_by(engine::automatic, bank_scenario(&undo_by_system_call), 2);
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_EQ(found.used, engine::single_step);
  EXPECT_NE(found.engine_reason.find("an heir, run without a log, left other bytes"),
            std::string::npos)
      << found.engine_reason;
  EXPECT_TRUE(found.warnings.empty()) << found;
  const report forced = explore_by(engine::page_protection, bank_scenario(&undo_by_system_call), 2);
  EXPECT_NE(forced.summary().find("warning: an heir, run without a log, left other bytes"),
            std::string::npos)
      << forced;
}

TEST(engines, a_victim_that_does_not_do_the_same_each_time_is_refused) {
  scenario other = bank_scenario(&undo_in_order);
  other.victim = [](segment& seg) {
    seg.find<guarded<bank>>("accounts")->lock()->undo.b = ::getpid();
  };
  const report found = explore_by(engine::automatic, other);
  EXPECT_FALSE(found.ok());
  EXPECT_NE(found.fault.find("differs from run to run"), std::string::npos) << found;
}

TEST(engines, a_victim_that_stores_nothing_is_no_pass) {
  scenario nothing = bank_scenario(&undo_in_order);
  nothing.victim = [](segment&) {};
  const report found = explore(nothing);
  EXPECT_FALSE(found.ok());
  EXPECT_NE(found.fault.find("nothing to kill"), std::string::npos) << found;
}

TEST(engines, a_victim_that_throws_is_told) {
  scenario throws = bank_scenario(&undo_in_order);
  throws.victim = [](segment& seg) {
    seg.find<guarded<bank>>("accounts")->lock()->a = 1;
    throw std::runtime_error("what the victim says");
  };
  const report found = explore(throws);
  EXPECT_FALSE(found.ok());
  EXPECT_NE(found.fault.find("what the victim says"), std::string::npos) << found;
}

TEST(engines, a_victim_that_sleeps_for_ever_is_ended_by_single_steps_too_and_its_place_is_told) {
  scenario sleeps = bank_scenario(&undo_in_order);
  sleeps.victim = [](segment& seg) {
    auto held = seg.find<guarded<bank>>("accounts")->lock();
    held->undo.b = 1;
    for (;;) ::pause();
  };
  explore_options how;
  how.with = engine::single_step;
  how.time_limit = std::chrono::milliseconds(100);
  const report found = explore(sleeps, how);
  EXPECT_FALSE(found.ok());
  EXPECT_NE(found.fault.find("not done in"), std::string::npos) << found;
  EXPECT_NE(found.fault.find("it had come to engines_test.cpp:"), std::string::npos) << found;
}

TEST(engines, a_victim_that_hangs_is_given_up_within_the_limit_of_one_run) {
  scenario hangs = bank_scenario(&undo_in_order);
  hangs.victim = [](segment& seg) {
    seg.find<guarded<bank>>("accounts")->lock()->undo.b = 1;
    for (;;) ::pause();
  };
  explore_options how;
  how.time_limit = std::chrono::seconds(2);
  const report found = explore(hangs, how);
  EXPECT_FALSE(found.ok());
  EXPECT_NE(found.fault.find("was not done in 2000 ms"), std::string::npos) << found;
  EXPECT_LT(found.took, 5 * how.time_limit) << "neither page protection, with ten times the limit, "
                                               "nor single steps, with a hundred times, is tried";
}

// The filter is the process's for ever.
TEST(engines, single_steps_that_are_wanted_where_ptrace_is_forbidden_are_an_error) {
  const auto explore_without_ptrace = [] {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{4, code};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
      ::_exit(2);
    const report found = explore_by(engine::single_step, bank_scenario(&undo_in_order));
    std::cerr << found;
    ::_exit(found.ok() ? 1 : 0);
  };
  EXPECT_EXIT(explore_without_ptrace(), ::testing::ExitedWithCode(0),
              "could not be explored: ptrace is not allowed here");
}

TEST(engines, an_isolated_heir_comes_to_the_same_verdicts) {
  explore_options isolated;
  isolated.isolate = true;
  for (const auto repair : {&undo_in_order, &clear_flag_first}) {
    const report in_one = explore(bank_scenario(repair));
    const report each_alone = explore(bank_scenario(repair), isolated);
    EXPECT_EQ(in_one.failed(), each_alone.failed()) << in_one << each_alone;
    EXPECT_EQ(in_one.points, each_alone.points);
  }
}

}  // namespace
}  // namespace outlive::killtest::testing
