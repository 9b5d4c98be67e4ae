// One mapping of a segment per process: it does not move, stays as long as a thread needs it, and
// then goes.
#include <outlive/segment.hpp>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <outlive/guarded.hpp>
#include <outlive/robust_mutex.hpp>

#include "support/leaks.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

// By inode: the maker's mapping of a file that was made without a name is listed without one.
std::size_t mappings_of(const test_name& name) {
  struct stat info {};
  EXPECT_EQ(::stat(name.path().c_str(), &info), 0);
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream columns(line);
    std::string skipped;
    ino_t inode = 0;
    columns >> skipped >> skipped >> skipped >> skipped >> inode;
    if (inode == info.st_ino && line.find("/dev/shm/") != std::string::npos) ++count;
  }
  return count;
}

TEST(segment_mapping, opened_twice_it_is_the_same) {
  const test_name name;
  const segment made = segment::create(name);
  const segment again = segment::open(name);
  const segment by_fd = segment::from_fd(made.fd());
  EXPECT_EQ(again.base(), made.base());
  EXPECT_EQ(by_fd.base(), made.base());
  EXPECT_EQ(again.fd(), made.fd());
  EXPECT_EQ(mappings_of(name), 1U);
}

TEST(segment_mapping, closed_it_is_gone) {
  const test_name name;
  const auto before = holdings::of(getpid());
  {
    const segment made = segment::create(name);
    EXPECT_EQ(mappings_of(name), 1U);
  }
  EXPECT_EQ(mappings_of(name), 0U);
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
}

TEST(segment_mapping, closed_after_use_it_is_gone) {
  const test_name name;
  const auto before = holdings::of(getpid());
  {
    segment made = segment::create(name);
    auto& account = made.find_or_construct<guarded<int>>("account", "account", 5);
    EXPECT_EQ(*account.lock(), 5);
    EXPECT_EQ(made.threads_in_use(), 1U);
  }
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
}

TEST(segment_mapping, copies_and_moves_of_a_handle_keep_it) {
  const test_name name;
  std::optional<segment> first = segment::create(name);
  segment copy = *first;
  first.reset();
  EXPECT_EQ(mappings_of(name), 1U);
  segment moved = std::move(copy);
  EXPECT_EQ(moved.find_or_construct<int>("answer", 42), 42);
  { const segment last = std::move(moved); }
  EXPECT_EQ(mappings_of(name), 0U);
}

TEST(segment_mapping, it_stays_while_a_thread_has_a_record_in_it) {
  const test_name name;
  shared_value<int> step;
  std::optional<segment> made = segment::create(name);
  auto& mutex = made->find_or_construct<robust_mutex>("mutex", "class");
  std::thread other([&] {
    mutex.lock();
    mutex.unlock();
    step.store(1);
    step.wait_equal(2);
    mutex.lock();  // its record, and the mutex, still lie where they were
    mutex.unlock();
  });
  EXPECT_TRUE(step.wait_equal(1));
  made.reset();
  EXPECT_EQ(mappings_of(name), 1U);
  step.store(2);
  other.join();
  EXPECT_EQ(mappings_of(name), 0U);
}

TEST(segment_mapping, it_stays_while_the_closing_thread_holds_a_mutex) {
  const test_name name;
  std::optional<segment> made = segment::create(name);
  auto& mutex = made->find_or_construct<robust_mutex>("mutex", "class");
  mutex.lock();
  made.reset();
  EXPECT_EQ(mappings_of(name), 1U);
  mutex.unlock();
  // Opened again it is the same mapping, and the thread's record.
  made = segment::open(name);
  EXPECT_EQ(made->find<robust_mutex>("mutex"), &mutex);
  EXPECT_EQ(made->threads_in_use(), 1U);
  made.reset();
  EXPECT_EQ(mappings_of(name), 0U);
}

TEST(segment_mapping, a_registration_keeps_it) {
  const test_name name;
  repair_registration kept;
  {
    segment made = segment::create(name);
    kept = on_owner_death(made, "class", always_consistent);
  }
  EXPECT_EQ(mappings_of(name), 1U);
  kept.reset();
  EXPECT_EQ(mappings_of(name), 0U);
}

TEST(segment_mapping, a_thousand_rounds_leave_nothing) {
  const test_name name;
  { segment::create(name).find_or_construct<guarded<int>>("count", "count", 0); }
  const auto a_thousand_rounds = [&] {
    for (int round = 0; round < 1000; ++round) {
      const segment opened = segment::open(name);
      ++*opened.find<guarded<int>>("count")->lock();
    }
  };
  const auto at_first = holdings::of(getpid());
  a_thousand_rounds();
  const auto before = holdings::of(getpid());
  EXPECT_EQ(before.added_since(at_first), "");
  EXPECT_EQ(before.open_files(), at_first.open_files());
  // The heap has the memory that it needs by now: AddressSanitizer's maps some for each size of
  // block that it meets.
  a_thousand_rounds();
  const auto after = holdings::of(getpid());
  EXPECT_EQ(after.added_since(before), "");
  EXPECT_EQ(after.open_files(), before.open_files());
  EXPECT_LE(after.mappings(), before.mappings() + 2);  // it may have grown
  const segment opened = segment::open(name);
  EXPECT_EQ(*opened.find<guarded<int>>("count")->lock(), 2000);
  EXPECT_EQ(opened.threads_in_use(), 1U);
}

TEST(segment_mapping, refusals_leave_nothing) {
  const test_name name;
  { const segment made = segment::create(name, few_of_everything()); }
  const segment_file file(name.path());
  file.resize(file.size() - 1);
  const auto before = holdings::of(getpid());
  for (int round = 0; round < 100; ++round) {
    EXPECT_THROW((void)segment::open(name), std::system_error);
    EXPECT_THROW((void)segment::create(name), std::system_error);
    EXPECT_THROW((void)segment::from_fd(file.fd()), std::system_error);
  }
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
}

TEST(segment_mapping, many_segments_at_once_are_kept_apart) {
  std::vector<segment> all;
  for (int i = 0; i < 100; ++i) {
    all.push_back(segment::anonymous(few_of_everything()));
    all.back().find_or_construct<guarded<int>>("number", "number", i);
  }
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 100; ++i) {
      auto hold = all[static_cast<std::size_t>(i)].find<guarded<int>>("number")->lock();
      EXPECT_EQ(*hold, i + 1000 * round);
      *hold += 1000;
    }
  }
}

TEST(segment_mapping, its_bytes_stay_out_of_core_dumps) {
  const test_name name;
  const segment made = segment::create(name);
  std::ostringstream begin;
  begin << std::hex << reinterpret_cast<std::uintptr_t>(made.base()) << '-';
  std::ifstream smaps("/proc/self/smaps");
  bool inside = false;
  std::string flags;
  for (std::string line; flags.empty() && std::getline(smaps, line);) {
    inside = inside || line.rfind(begin.str(), 0) == 0;
    if (inside && line.rfind("VmFlags:", 0) == 0) flags = line;
  }
  EXPECT_NE(flags.find(" dd"), std::string::npos) << flags;
}

}  // namespace
}  // namespace outlive::testing
