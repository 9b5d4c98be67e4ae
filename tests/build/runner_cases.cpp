// Cases of every kind of end, for runner_test.py: most are meant to fail. Never run as a test by
// itself.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

TEST(ends, passes) {}

TEST(ends, kills) {
  std::puts("kills: 3");  // as tests/support/child.cpp does
}

TEST(ends, fails) {
  FAIL() << "meant to fail";
}

TEST(ends, skips) {
  GTEST_SKIP() << "meant to be skipped";
}

TEST(ends, aborts) {
  std::abort();
}

TEST(ends, exits_early) {
  std::_Exit(0);
}

TEST(ends, hangs) {
  for (;;) {
    pause();
  }
}

TEST(ends, leaves_a_child) {
  if (fork() == 0) {
    for (;;) {
      pause();
    }
  }
}

TEST(ends, DISABLED_is_disabled) {}
