// A segment in which a thread ended while it held a mutex: mapped until the kernel is done with the
// thread, and not for ever.
#include <outlive/guarded.hpp>
#include <outlive/segment.hpp>

#include <pthread.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>

#include "sys/mapped_files.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

// Which file this process may have mapped: by its inode, for the one that made it knows it by no
// path.
class mapped_segment {
 public:
  explicit mapped_segment(const segment& of) {
    struct stat info {};
    if (::fstat(of.fd(), &info) != 0)
      throw std::system_error(errno, std::generic_category(), "fstat");
    device_ = info.st_dev;
    inode_ = info.st_ino;
  }
  [[nodiscard]] bool is_there() const {
    return !detail::writable_mappings_of(device_, inode_).empty();
  }
  /// What can go goes where other mappings come: makes some until it has gone. The kernel may take
  /// its time with the thread's end.
  [[nodiscard]] bool goes() const {
    const deadline end(default_timeout());
    while (is_there()) {
      if (end.passed()) return false;
      (void)segment::anonymous(few_of_everything());
    }
    return true;
  }

 private:
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
};

int repairs = 0;

repair_registration register_repair(segment& seg) {
  return on_owner_death<int>(seg, "number", [](int&, const owner_death&) {
    ++repairs;
    return repaired;
  });
}

void end_inside(segment& seg) {
  std::thread([&] {
    seg.find_or_construct<guarded<int>>("number", "number", 1).mutex().lock();
  }).join();
}

TEST(given_back, a_segment_goes_once_what_the_thread_held_is_recovered) {
  const test_name name;
  std::optional<mapped_segment> mapped;
  {
    segment seg = segment::create(name);
    mapped.emplace(seg);
    const auto registered = register_repair(seg);
    end_inside(seg);
    EXPECT_EQ(*seg.find<guarded<int>>("number")->lock(), 1);
    EXPECT_EQ(repairs, 1);
  }
  EXPECT_TRUE(mapped->goes());
}

TEST(given_back, a_segment_that_nobody_recovered_goes_and_is_recovered_later) {
  const test_name name;
  std::optional<mapped_segment> mapped;
  {
    segment seg = segment::create(name);
    mapped.emplace(seg);
    end_inside(seg);
  }
  EXPECT_TRUE(mapped->goes());
  segment again = segment::open(name);
  const auto registered = register_repair(again);
  EXPECT_EQ(*again.find<guarded<int>>("number")->lock(), 1);
  EXPECT_EQ(repairs, 1);
}

TEST(given_back, an_open_segment_stays) {
  const test_name name;
  segment seg = segment::create(name);
  const mapped_segment mapped(seg);
  end_inside(seg);
  for (int i = 0; i < 10; ++i) (void)segment::anonymous(few_of_everything());
  EXPECT_TRUE(mapped.is_there());
}

struct late_end {
  shared_value<int> ended;
  shared_value<int> go;
};

// A destructor of a later key: the library has dealt with the thread's end, the kernel has not.
void be_late(void* context) {
  auto& late = *static_cast<late_end*>(context);
  late.ended.store(1);
  late.go.wait_at_least(1);
}

TEST(given_back, a_segment_stays_while_the_thread_has_still_to_end) {
  const test_name name;
  late_end late;
  std::optional<segment> seg = segment::create(name);
  const mapped_segment mapped(*seg);
  pthread_key_t key{};
  ASSERT_EQ(::pthread_key_create(&key, &be_late), 0);
  std::thread ending([&] {
    ::pthread_setspecific(key, &late);
    seg->find_or_construct<guarded<int>>("number", "number", 1).mutex().lock();
  });
  ASSERT_TRUE(late.ended.wait_at_least(1));
  seg.reset();
  for (int i = 0; i < 10; ++i) (void)segment::anonymous(few_of_everything());
  EXPECT_TRUE(mapped.is_there());
  late.go.store(1);
  ending.join();
  EXPECT_TRUE(mapped.goes());
}

struct late_owner {
  segment seg;
  guarded<int>& number;
};

// A destructor of a later key: the library has dealt with the thread's end, and kept what it held.
void let_go_late(void* context) {
  const std::unique_ptr<late_owner> owner(static_cast<late_owner*>(context));
  owner->number.mutex().unlock();
}

TEST(given_back, a_thread_lets_go_and_closes_the_segment_after_the_library_has_dealt_with_its_end) {
  const test_name name;
  std::optional<mapped_segment> mapped;
  pthread_key_t key{};
  ASSERT_EQ(::pthread_key_create(&key, &let_go_late), 0);
  std::thread([&] {
    segment seg = segment::create(name);
    mapped.emplace(seg);
    auto& number = seg.find_or_construct<guarded<int>>("number", "number", 1);
    ::pthread_setspecific(key, new late_owner{std::move(seg), number});
    number.mutex().lock();
  }).join();
  EXPECT_TRUE(mapped->goes());
  segment again = segment::open(name);
  EXPECT_EQ(again.threads_in_use(), 0U);
  EXPECT_EQ(*again.find<guarded<int>>("number")->lock(), 1);
}

struct late_user {
  segment seg;
  bool holds;
};

// A destructor of a later key: the library has dealt with the thread's end, and keeps a segment.
void use_late(void* context) {
  const std::unique_ptr<late_user> user(static_cast<late_user*>(context));
  auto& number = user->seg.find_or_construct<guarded<int>>("number", "number", 1);
  number.mutex().lock();
  if (!user->holds) number.mutex().unlock();
}

TEST(given_back, a_segment_that_an_ending_thread_uses_beside_one_that_it_holds_goes) {
  pthread_key_t key{};
  ASSERT_EQ(::pthread_key_create(&key, &use_late), 0);
  for (const bool holds : {false, true}) {
    const test_name first_name, second_name;
    std::optional<mapped_segment> first, second;
    {
      segment seg = segment::create(first_name);
      segment other = segment::create(second_name);
      first.emplace(seg);
      second.emplace(other);
      std::thread([&] {
        ::pthread_setspecific(key, new late_user{segment::open(second_name), holds});
        seg.find_or_construct<guarded<int>>("number", "number", 1).mutex().lock();
      }).join();
      EXPECT_EQ(other.threads_in_use(), holds ? 1U : 0U);
    }
    EXPECT_TRUE(first->goes());
    EXPECT_TRUE(second->goes());
  }
  ::pthread_key_delete(key);
}

void unlock_late(void* number) {
  static_cast<guarded<int>*>(number)->mutex().unlock();
}

TEST(given_back, a_thread_that_lets_go_after_the_librarys_part_of_its_end_gives_its_record_back) {
  const test_name name;
  std::optional<mapped_segment> mapped;
  pthread_key_t key{};
  ASSERT_EQ(::pthread_key_create(&key, &unlock_late), 0);
  {
    segment seg = segment::create(name);
    mapped.emplace(seg);
    auto& number = seg.find_or_construct<guarded<int>>("number", "number", 1);
    std::thread([&] {
      ::pthread_setspecific(key, &number);
      number.mutex().lock();
    }).join();
    EXPECT_EQ(seg.threads_in_use(), 0U);
    EXPECT_EQ(*number.lock(), 1);
  }
  EXPECT_TRUE(mapped->goes());
  ::pthread_key_delete(key);
}

TEST(given_back, a_forked_child_lets_go_of_what_its_parents_threads_held) {
  const test_name name;
  segment seg = segment::create(name);
  const mapped_segment mapped(seg);
  end_inside(seg);
  child("forked", [&](agent&) {
    { const segment gone = std::move(seg); }
    EXPECT_TRUE(mapped.goes());
    segment again = segment::open(name);
    const auto registered = register_repair(again);
    EXPECT_EQ(*again.find<guarded<int>>("number")->lock(), 1);
  }).expect_exit();
}

// The kernel's walk at that thread's end is through the parent's memory.
TEST(given_back, a_forked_child_does_not_wait_for_the_end_of_its_parents_thread) {
  const test_name name;
  late_end late;
  std::optional<segment> seg = segment::create(name);
  const mapped_segment mapped(*seg);
  pthread_key_t key{};
  ASSERT_EQ(::pthread_key_create(&key, &be_late), 0);
  std::thread ending([&] {
    ::pthread_setspecific(key, &late);
    seg->find_or_construct<guarded<int>>("number", "number", 1).mutex().lock();
  });
  ASSERT_TRUE(late.ended.wait_at_least(1));
  child("forked", [&](agent&) {
    seg.reset();
    EXPECT_TRUE(mapped.goes());
  }).expect_exit();
  EXPECT_TRUE(mapped.is_there());
  late.go.store(1);
  ending.join();
}

}  // namespace
}  // namespace outlive::testing
