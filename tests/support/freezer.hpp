// A test's own cgroup that can be frozen: with whole processes in it, or (version 1) single
// threads.
#pragma once

#include <sys/types.h>

#include <stdexcept>
#include <string>

namespace outlive::testing {

class freezer {
 public:
  /// There is no such freezer here, or this user may not make a cgroup in it; the text says which.
  class unavailable : public std::runtime_error {
   public:
    using std::runtime_error::runtime_error;
  };
  enum class version { one = 1, two = 2 };

  /// Throws unavailable.
  explicit freezer(version of);
  /// Thaws, and moves the processes in it back. To be made after the children that are put into it:
  /// a frozen one cannot be reaped.
  ~freezer();
  freezer(const freezer&) = delete;
  freezer& operator=(const freezer&) = delete;

  /// The whole process.
  void add_process(pid_t pid) const;
  /// One thread: version 1 alone can.
  void add_thread(pid_t tid) const;

  /// Returns when everything in it is frozen. Throws timed_out.
  void freeze() const;
  void thaw() const;

 private:
  version version_;
  std::string parent_;
  std::string folder_;
};

}  // namespace outlive::testing
