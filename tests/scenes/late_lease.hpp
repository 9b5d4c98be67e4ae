// What the late worker of a lease with a time limit meets.
#pragma once

#include <gtest/gtest.h>

#include <system_error>

#include <outlive/error.hpp>
#include <outlive/work_queue.hpp>

namespace outlive::testing {

/// Ends the lease by done(), which may come too late. Returns: whether it was refused. The lease is
/// empty then, too.
template <class T>
bool is_refused_as_expired(lease<T>& late) {
  try {
    late.done();
    return false;
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), errc::lease_expired) << error.what();
    late = {};
    return true;
  }
}

}  // namespace outlive::testing
