// A constructor or destructor that forks: the child leaves with an error and changes nothing; the
// parent goes on alone.
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include "mapping/mapping.hpp"
#include "segment/segment_access.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

// Exit codes of the child.
constexpr int told = 7;
constexpr int not_told = 8;

// Whose child goes on, and whose parent waits for its end within the callback.
struct forks {
  static inline bool in_destructor = false;
  static inline bool throws = false;
  static inline int how = 0;
  static inline std::uint32_t state_then = 0;

  forks() {
    if (!in_destructor) fork_here();
  }
  ~forks() {
    if (in_destructor) fork_here();
  }
  void fork_here() {
    const pid_t made = fork();
    ASSERT_GE(made, 0);
    if (made == 0) {
      if (throws) throw 4711;
      return;
    }
    ASSERT_EQ(waitpid(made, &how, 0), made);
    state_then = reinterpret_cast<detail::block_header*>(this)[-1].state.load();
  }
  long value = 5;
};

}  // namespace
}  // namespace outlive::testing

template <>
inline constexpr bool outlive::shareable<outlive::testing::forks> = true;

namespace outlive::testing {
namespace {

struct segment_construction_fork : ::testing::Test {
  segment seg = segment::anonymous();
  pid_t parent = getpid();

  std::uint32_t live() const {
    return detail::segment_access::mapping_of(seg)->header().directory_counts.live.load();
  }
  template <class Act>
  void call(Act act) const {
    int code = not_told;
    try {
      act();
    } catch (const std::system_error& error) {
      if (getpid() == parent) throw;
      const std::string_view text = error.what();
      if (error.code() == errc::in_use && text.find("found the child of a fork") != text.npos)
        code = told;
    } catch (const int number) {
      if (number == 4711) code = told;
    }
    if (getpid() != parent) _exit(code);
  }
  void expect_told(detail::block_state state) const {
    EXPECT_TRUE(WIFEXITED(forks::how));
    EXPECT_EQ(WEXITSTATUS(forks::how), told);
    EXPECT_EQ(forks::state_then, static_cast<std::uint32_t>(state))
        << "the child has finished what its parent began";
  }
};

TEST_F(segment_construction_fork, in_a_constructor) {
  call([&] { seg.find_or_construct<forks>("f"); });
  expect_told(detail::block_state::constructing);
  EXPECT_EQ(live(), 1U);
  EXPECT_EQ(seg.find<forks>("f")->value, 5);
}

TEST_F(segment_construction_fork, in_a_constructor_and_the_child_throws) {
  forks::throws = true;
  call([&] { seg.find_or_construct<forks>("f"); });
  expect_told(detail::block_state::constructing);
  EXPECT_EQ(live(), 1U);
  EXPECT_NE(seg.find<forks>("f"), nullptr);
}

TEST_F(segment_construction_fork, in_a_destructor) {
  forks::in_destructor = true;
  seg.find_or_construct<forks>("f");
  call([&] { EXPECT_TRUE(seg.destroy<forks>("f")); });
  expect_told(detail::block_state::destroying);
  EXPECT_EQ(live(), 0U);
  EXPECT_EQ(seg.find<forks>("f"), nullptr);
}

}  // namespace
}  // namespace outlive::testing
