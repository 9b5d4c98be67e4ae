// Crash notes: an heir and the death log tell what a dying thread had noted, and nothing that is
// not of its death.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstring>
#include <functional>
#include <optional>
#include <string>

#include <outlive/outlive.hpp>

#include "records/crash_note.hpp"
#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

using detail::crash_cause;

const void* some_code() {
  return reinterpret_cast<const void*>(&lock_code);
}

crash_cause a_fault() {
  return {SIGSEGV, SEGV_MAPERR, 0x1234, reinterpret_cast<std::uint64_t>(some_code())};
}

struct crash_note : ::testing::Test {
  segment seg = segment::anonymous();
  robust_mutex& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  robust_mutex& other = seg.find_or_construct<robust_mutex>("other", "class");
  std::optional<crash_report> told;
  unsigned repairs = 0;
  repair_registration repair = on_owner_death(seg, "class", [this](const owner_death& death) {
    ++repairs;
    if (death.crash() != nullptr) told = to_report(*death.crash());
    return repaired;
  });

  void die_after(const std::function<void()>& last_words) {
    elsewhere([&] {
      mutex.lock();
      last_words();
    });
    ASSERT_EQ(lock_code(mutex), std::error_code());
    ASSERT_EQ(repairs, 1U);
  }
  detail::crash_note& note_of_first_record() {
    const auto* const constants = static_cast<const detail::segment_constants*>(seg.base());
    char* const base = static_cast<char*>(const_cast<void*>(seg.base()));
    return *reinterpret_cast<detail::crash_note*>(base +
                                                  detail::region_layout::of(*constants).crashes);
  }
};

TEST_F(crash_note, heir_and_log_tell_signal_address_and_frames) {
  die_after([] {
    const crash_cause cause = a_fault();
    ASSERT_TRUE(detail::begin_crash_notes(cause));
    const std::uint64_t frames[] = {cause.instruction, 0x99, cause.instruction + 1};
    detail::add_crash_frames(frames, 3);
  });
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->signal, SIGSEGV);
  EXPECT_EQ(told->code, SEGV_MAPERR);
  EXPECT_EQ(told->address, 0x1234U);
  EXPECT_FALSE(told->nested);
  ASSERT_EQ(told->frames.size(), 3U);
  EXPECT_NE(told->frames[0].module.find("/crash_note_test"), std::string::npos);
  EXPECT_NE(told->frames[0].function.find("lock_code"), std::string::npos);
  EXPECT_EQ(told->frames[0].function_offset, 0U);
  EXPECT_EQ(told->frames[1].address, 0x99U);
  EXPECT_EQ(told->frames[1].module, "");
  EXPECT_EQ(told->frames[2].function_offset, 1U);

  auto log = death_log(seg);
  ASSERT_EQ(log.size(), 1U);
  ASSERT_TRUE(log[0].crash.has_value());
  EXPECT_GT(log[0].repair_time.count(), 0);
  name_functions(*log[0].crash);
  ASSERT_EQ(log[0].crash->frames.size(), 3U);
  EXPECT_EQ(log[0].crash->frames[0].function, told->frames[0].function);
  EXPECT_EQ(log[0].crash->frames[0].offset, told->frames[0].offset);
  EXPECT_EQ(log[0].crash->frames[0].build_id, told->frames[0].build_id);
  EXPECT_EQ(log[0].crash->frames[1].address, 0x99U);
}

TEST_F(crash_note, death_without_one_tells_none) {
  die_after([] {});
  EXPECT_FALSE(told.has_value());
  const auto log = death_log(seg);
  ASSERT_EQ(log.size(), 1U);
  EXPECT_FALSE(log[0].crash.has_value());
}

TEST_F(crash_note, without_its_frames_it_tells_the_instruction) {
  die_after([] { detail::begin_crash_notes(a_fault()); });
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->frames.size(), 1U);
}

TEST_F(crash_note, more_frames_than_fit_are_cut) {
  die_after([] {
    detail::begin_crash_notes(a_fault());
    const std::uint64_t frames[100] = {};
    detail::add_crash_frames(frames, 100);
  });
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->frames.size(), 32U);
  EXPECT_EQ(death_log(seg)[0].crash->frames.size(), 16U);
}

TEST_F(crash_note, second_crash_is_told) {
  die_after([] {
    detail::begin_crash_notes(a_fault());
    detail::mark_crash_nested();
  });
  ASSERT_TRUE(told.has_value());
  EXPECT_TRUE(told->nested);
  EXPECT_TRUE(death_log(seg)[0].crash->nested);
}

TEST_F(crash_note, cleared_or_survived_crash_is_not_told) {
  die_after([] {
    detail::begin_crash_notes(a_fault());
    detail::clear_crash_notes();
  });
  EXPECT_FALSE(told.has_value());
}

TEST_F(crash_note, thread_that_locked_again_after_it_did_not_die_of_it) {
  die_after([this] {
    detail::begin_crash_notes(a_fault());
    other.lock();
    other.unlock();
  });
  EXPECT_FALSE(told.has_value());
}

TEST_F(crash_note, is_not_told_of_the_next_thread_with_the_record) {
  elsewhere([this] {
    mutex.lock();
    mutex.unlock();
    detail::begin_crash_notes(a_fault());
  });
  EXPECT_NE(note_of_first_record().life.load(), 0U);
  die_after([] {});
  EXPECT_FALSE(told.has_value());
}

TEST_F(crash_note, forked_child_writes_none_into_its_parents_record) {
  elsewhere([this] {
    mutex.lock();
    const pid_t pid = fork();
    if (pid == 0) _exit(detail::begin_crash_notes(a_fault()) ? 1 : 0);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    mutex.unlock();
  });
  EXPECT_EQ(note_of_first_record().life.load(), 0U);
}

TEST_F(crash_note, thread_without_a_record_has_nowhere_to_write_to) {
  elsewhere([] { EXPECT_FALSE(detail::begin_crash_notes(a_fault())); });
}

TEST_F(crash_note, of_damaged_bytes_no_more_is_read_than_there_is) {
  elsewhere([this] {
    mutex.lock();
    detail::begin_crash_notes(a_fault());
    note_of_first_record().count.store(~0U);
  });
  ASSERT_EQ(lock_code(mutex), std::error_code());
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->frames.size(), 32U);
}

TEST_F(crash_note, hook_is_called_in_each_thread_that_gets_a_record) {
  static std::atomic<int> calls{0};
  detail::set_record_hook([]() noexcept { ++calls; });
  elsewhere([this] {
    mutex.lock();
    mutex.unlock();
    mutex.lock();
    mutex.unlock();
  });
  EXPECT_EQ(calls.load(), 1);
  detail::set_record_hook(nullptr);
  elsewhere([this] { lock_code(mutex); });
  EXPECT_EQ(calls.load(), 1);
}

}  // namespace
}  // namespace outlive::testing
