// What the tests of the shared mutex in one process have in common.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <system_error>
#include <thread>

#include <outlive/outlive.hpp>

#include "mapping/mapping.hpp"
#include "records/marks.hpp"
#include "segment/segment_access.hpp"

namespace outlive::testing {

template <class Function>
void expect_error(errc code, Function function, const char* what) {
  try {
    function();
    ADD_FAILURE() << what << ": no error";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), code) << what << ": " << error.what();
  }
}

inline segment_options with(reader_marks form) {
  segment_options options;
  options.readers = form;
  return options;
}

class robust_shared_mutex_fixture : public ::testing::TestWithParam<reader_marks> {
 protected:
  robust_shared_mutex& make(const std::string& name) {
    return seg_.find_or_construct<robust_shared_mutex>(name, "shared");
  }
  detail::mapping& bytes() { return *detail::segment_access::mapping_of(seg_); }
  std::uint32_t id_of(const robust_shared_mutex& mutex) {
    return detail::mark_id(bytes().offset_of(&mutex));
  }
  std::uint32_t readers_of(const robust_shared_mutex& mutex) {
    return detail::count_readers(bytes(), id_of(mutex));
  }
  /// What try_lock() and try_lock_shared() say in a thread of its own, which gives back what it
  /// got.
  bool others_can_lock() {
    bool can = false;
    std::thread([&] {
      can = mutex_.try_lock();
      if (can) mutex_.unlock();
    }).join();
    return can;
  }
  bool others_can_read() {
    bool can = false;
    std::thread([&] {
      can = mutex_.try_lock_shared();
      if (can) mutex_.unlock_shared();
    }).join();
    return can;
  }

  segment seg_ = segment::anonymous(with(GetParam()));
  robust_shared_mutex& mutex_ = make("mutex");
};

inline std::string name_of_form(const ::testing::TestParamInfo<reader_marks>& form) {
  return form.param == reader_marks::locked ? "locked" : "automatic";
}

}  // namespace outlive::testing
