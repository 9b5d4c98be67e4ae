// The user's check of the data, a command for /bin/sh.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "process.hpp"
#include "torture/settings.hpp"

namespace torture {

class user_check {
 public:
  explicit user_check(const settings& wanted) : wanted_(wanted) {}
  user_check(const user_check&) = delete;
  user_check& operator=(const user_check&) = delete;
  ~user_check();  // ends one that still runs

  // Requires: none runs. Errors: as ::start().
  void start();
  [[nodiscard]] bool runs() const noexcept { return pid_ != 0; }
  // Ends the check if its time is over, or the tool was asked to end. Returns: whether it has ended
  // since the last call.
  [[nodiscard]] bool fetch_end(const signals& incoming);
  // Starts it and waits for its end.
  void run(signals& incoming);

  // Returns: `passed`, or what went wrong, of the last one that has ended.
  [[nodiscard]] const std::string& result() const noexcept { return result_; }
  [[nodiscard]] bool has_failed() const noexcept { return !result_.empty() && result_ != passed; }

  static constexpr const char* passed = "passed";

 private:
  const settings& wanted_;
  pid_t pid_ = 0;
  std::chrono::steady_clock::time_point limit_{};
  std::string result_;
};

}  // namespace torture
