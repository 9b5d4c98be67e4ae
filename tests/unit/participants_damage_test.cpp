// A participant's bytes changed after the process has joined: what a thread finds when it claims a
// record and lists the modules anew.
#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "format/layout.hpp"
#include "mapping/mapping.hpp"
#include "segment/segment_access.hpp"
#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

using detail::participant;

struct participants_damage : ::testing::Test {
  // Damage, and then a thread that needs a record: in a process of its own, since it may crash.
  void expect_harmless(const std::string& what, const std::function<void(participant&)>& damage) {
    const ::testing::ScopedTrace trace(__FILE__, __LINE__, what);
    child("process", [&](agent&) {
      segment own = segment::anonymous(few_of_everything());
      auto& lock = own.find_or_construct<robust_mutex>("mutex", "class");
      const auto mapped = detail::segment_access::mapping_of(own);
      damage(mapped->participant_at(0));
      const std::vector<char> after(reinterpret_cast<const char*>(&mapped->participant_at(1)),
                                    reinterpret_cast<const char*>(&mapped->participant_at(1) + 1));
      elsewhere([&] { EXPECT_EQ(lock_code(lock), std::error_code()); });
      EXPECT_EQ(std::memcmp(after.data(), &mapped->participant_at(1), after.size()), 0)
          << "the next participant was written to";
    }).expect_exit();
  }
};

TEST_F(participants_damage, a_count_of_modules_out_of_bounds_is_not_believed) {
  for (const std::uint32_t count : {65U, 66U, 1000U, 0x7fffffffU, 0xffffffffU}) {
    expect_harmless("module_count " + std::to_string(count), [&](participant& each) {
      // none is known, so that all are listed again
      std::memset(each.modules, 0, sizeof each.modules);
      each.module_count.store(count);
    });
  }
}

TEST_F(participants_damage, a_length_of_strings_out_of_bounds_is_not_believed) {
  for (const std::uint32_t bytes : {3008U, 3009U, 6144U, 0x7fffffffU, 0xfffffff0U, 0xffffffffU}) {
    expect_harmless("string_bytes " + std::to_string(bytes), [&](participant& each) {
      each.module_count.store(0);
      each.string_bytes = bytes;
    });
  }
}

// Every byte before the strings. The mutex may not be had where the identity is another's, but
// nothing crashes and nothing else is written.
TEST_F(participants_damage, any_byte_may_change_after_the_process_has_joined) {
  for (const int mask : {0xff, 0x01, 0x80}) {
    child("process", [&](agent&) {
      segment own = segment::anonymous(few_of_everything());
      auto& lock = own.find_or_construct<robust_mutex>("mutex", "class");
      auto* const bytes = reinterpret_cast<unsigned char*>(
          &detail::segment_access::mapping_of(own)->participant_at(0));
      for (std::size_t at = 0;
           at < offsetof(participant, modules) + 8 * sizeof(detail::module_entry); ++at) {
        bytes[at] = static_cast<unsigned char>(bytes[at] ^ mask);
        elsewhere([&] { EXPECT_EQ(lock_code(lock), std::error_code()) << "byte " << at; });
        bytes[at] = static_cast<unsigned char>(bytes[at] ^ mask);
      }
    }).expect_exit();
  }
}

}  // namespace
}  // namespace outlive::testing
