// A shared mutex with a value, its repair, and processes that read, write and die there.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include <outlive/outlive.hpp>

#include "format/object_layout.hpp"
#include "mapping/mapping.hpp"
#include "records/marks.hpp"
#include "scenes/accounts.hpp"
#include "segment/segment_access.hpp"
#include "support/bounded.hpp"
#include "support/child.hpp"
#include "support/leaks.hpp"

namespace outlive::testing {

/// Invariant: a == b.
struct both {
  long a = 0;
  long b = 0;
  bool whole() const { return a == b; }
};
using shared_both = guarded<both, robust_shared_mutex>;

inline segment_options small(reader_marks form) {
  segment_options options = small_segment();
  options.readers = form;
  return options;
}

class shared_scene {
 public:
  explicit shared_scene(reader_marks form) : seg_(segment::anonymous(small(form))) {
    static_cast<void>(value_.lock_shared());  // the test's own thread has its record
  }

  segment& seg() { return seg_; }
  shared_both& value() { return value_; }
  unsigned repairs() { return static_cast<unsigned>(repairs_.load()); }
  std::uint32_t readers() {
    const detail::mapping& bytes = *detail::segment_access::mapping_of(seg_);
    return detail::count_readers(bytes, detail::mark_id(bytes.offset_of(&value_)));
  }
  std::uint32_t gate() { return reinterpret_cast<detail::shared_lock_bytes&>(value_).gate.load(); }

  std::uint32_t waiting_readers() {
    return reinterpret_cast<detail::shared_lock_bytes&>(value_).waiting_readers.load();
  }

  child::body reader() {
    return [this](agent& parent) {
      const auto x = value_.lock_shared();
      parent.tell("inside");
      parent.pause_forever();
    };
  }
  child::body writer() {
    return [this](agent& parent) {
      auto x = value_.lock();
      ++x->a;
      parent.tell("inside");
      parent.pause_forever();
    };
  }
  /// A writer that leaves again.
  child::body visitor() {
    return [this](agent& parent) {
      parent.tell("comes");
      auto x = value_.lock();
      EXPECT_TRUE(x->whole());
    };
  }
  void kill_one(const child::body& body) {
    child victim("victim", body);
    victim.wait_for("inside");
    victim.kill();
    victim.expect_killed();
  }
  void until_a_writer_waits_for_readers() {
    ASSERT_TRUE(within(default_timeout(), [&] { return gate() == detail::gate_awaited; }))
        << "the gate is " << gate();
  }
  void until_a_reader_waits(pid_t pid) {
    ASSERT_TRUE(
        within(default_timeout(), [&] { return waiting_readers() != 0 && task_state(pid) == 'S'; }))
        << waiting_readers() << " readers wait";
  }
  /// Both kinds of lock are free, to another process, too.
  void expect_usable(unsigned expected_repairs) {
    child other("other", [this](agent&) {
      EXPECT_TRUE(value_.lock_shared()->whole());
      EXPECT_TRUE(value_.lock()->whole());
    });
    other.expect_exit(0);
    ASSERT_TRUE(value_.try_lock_shared_for(default_timeout())) << "the gate is " << gate();
    ASSERT_TRUE(value_.try_lock_for(default_timeout()))
        << readers() << " readers, the gate is " << gate();
    EXPECT_EQ(repairs(), expected_repairs);
    EXPECT_EQ(readers(), 0u);
    recover(seg_);
    EXPECT_EQ(seg_.threads_in_use(), 1u);
  }

 private:
  segment seg_;
  shared_counter repairs_;
  shared_both& value_ = seg_.find_or_construct<shared_both>("both", "both");
  repair_registration repair_ =
      on_owner_death<both, robust_shared_mutex>(seg_, "both", [this](both& x, const owner_death&) {
        repairs_.add();
        x.b = x.a;
        return repaired;
      });
};

inline std::string name_of_form(const ::testing::TestParamInfo<reader_marks>& form) {
  return form.param == reader_marks::locked ? "locked" : "automatic";
}

}  // namespace outlive::testing
