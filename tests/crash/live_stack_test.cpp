// A look at the stack of a thread that goes on afterwards as if nothing had been.
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <fstream>

#include <outlive/live_stack.hpp>

#include "crash/dying.hpp"
#include "scenes/cancellation.hpp"

namespace outlive::testing {
namespace {

[[gnu::noinline]] void wait_in_here(agent& me) {
  me.tell("waiting");
  me.await("go on");
  asm volatile("");
}

bool has(const thread_stack& stack, std::string_view function) {
  return std::any_of(stack.frames.begin(), stack.frames.end(), [&](const stack_frame& each) {
    return each.function.find(function) != std::string::npos;
  });
}

char state_of(pid_t tid) {
  std::ifstream file("/proc/" + std::to_string(tid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("State:")) return line[line.find_first_not_of(" \t", 6)];
  }
  return '?';
}

// Waits for the child's end: by its own means, for a tracer has it no longer.
struct waiting_child : child {
  waiting_child() : child("waiting", [](agent& me) { wait_in_here(me); }) { wait_for("waiting"); }
};

TEST(live_stack, names_the_functions_that_the_thread_is_in) {
  waiting_child other;
  const thread_stack stack = live_stack(other.pid());
  EXPECT_EQ(stack.problem, "");
  EXPECT_TRUE(has(stack, "wait_in_here")) << to_string(stack);
  EXPECT_TRUE(has(stack, "main")) << to_string(stack);
  for (const stack_frame& each : stack.frames) EXPECT_NE(each.address, 0U);
  const auto here =
      std::find_if(stack.frames.begin(), stack.frames.end(), [](const stack_frame& each) {
        return each.function.find("wait_in_here") != std::string::npos;
      });
  EXPECT_NE(here->module.find("/live_stack_test"), std::string::npos);
  EXPECT_NE(here->offset, 0U);
  other.tell("go on");
  other.expect_exit(0);
}

TEST(live_stack, thread_can_be_looked_at_again_and_again) {
  waiting_child other;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(live_stack(other.pid()).problem, "");
  other.tell("go on");
  other.expect_exit(0);
}

TEST(live_stack, stopped_thread_stays_stopped) {
  waiting_child other;
  other.kill(SIGSTOP);
  ASSERT_TRUE(within(default_timeout(), [&] { return state_of(other.pid()) == 'T'; }));
  const thread_stack stack = live_stack(other.pid());
  EXPECT_EQ(stack.problem, "");
  EXPECT_TRUE(has(stack, "wait_in_here")) << to_string(stack);
  EXPECT_TRUE(within(default_timeout(), [&] { return state_of(other.pid()) == 'T'; }))
      << state_of(other.pid());
  other.kill(SIGCONT);
  other.tell("go on");
  other.expect_exit(0);
}

void* looks_once_cancelled(void* other) {
  pthread_cancel(pthread_self());
  EXPECT_EQ(live_stack(*static_cast<pid_t*>(other)).problem, "");
  end_if_cancelled();
  ADD_FAILURE() << "not cancelled";
  return nullptr;
}

TEST(live_stack, a_cancellation_does_not_end_the_look) {
  waiting_child other;
  pid_t pid = other.pid();
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, nullptr, looks_once_cancelled, &pid), 0);
  void* result = nullptr;
  ASSERT_EQ(pthread_join(thread, &result), 0);
  EXPECT_EQ(result, PTHREAD_CANCELED);
  other.tell("go on");
  other.expect_exit(0);
}

TEST(live_stack, thread_that_is_gone_is_a_problem_and_no_error) {
  waiting_child other;
  const pid_t former = other.pid();
  other.tell("go on");
  other.expect_exit(0);
  const thread_stack stack = live_stack(former);
  EXPECT_TRUE(stack.frames.empty());
  EXPECT_EQ(stack.problem, "thread " + std::to_string(former) + " is gone");
}

TEST(live_stack, own_thread_is_refused_in_words) {
  const thread_stack stack = live_stack(getpid());
  EXPECT_TRUE(stack.frames.empty());
  EXPECT_EQ(stack.problem, "thread " + std::to_string(getpid()) +
                               " belongs to this process, which cannot trace itself");
}

TEST(live_stack, want_of_permission_is_told_in_words) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  waiting_child other;
  child stranger("stranger", [&](agent&) {
    ASSERT_EQ(setresuid(65534, 65534, 65534), 0);
    const thread_stack stack = live_stack(other.pid());
    EXPECT_TRUE(stack.frames.empty());
    EXPECT_EQ(stack.problem.find("no permission to trace thread " + std::to_string(other.pid())),
              0U)
        << stack.problem;
  });
  stranger.expect_exit(0);
  other.tell("go on");
  other.expect_exit(0);
}

TEST(live_stack, traced_thread_is_refused_in_words) {
  waiting_child other;
  ASSERT_EQ(ptrace(PTRACE_SEIZE, other.pid(), nullptr, nullptr), 0);
  const thread_stack stack = live_stack(other.pid());
  EXPECT_TRUE(stack.frames.empty());
  EXPECT_EQ(stack.problem, "thread " + std::to_string(other.pid()) +
                               " is already traced by process " + std::to_string(getpid()));
  other.tell("go on");
  other.expect_exit(0);
}

}  // namespace
}  // namespace outlive::testing
