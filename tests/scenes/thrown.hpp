// The exception of a call, with all that is nested in it.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <system_error>

namespace outlive::testing {

/// Code of the outermost system_error, and all messages, outermost first.
struct thrown {
  std::error_code code;
  std::string messages;

  static thrown by(const std::function<void()>& act) {
    thrown result;
    try {
      act();
    } catch (const std::system_error& error) {
      result.code = error.code();
      result.add(error);
    }
    return result;
  }
  void add(const std::exception& error) {
    messages += messages.empty() ? error.what() : std::string(" <- ") + error.what();
    try {
      std::rethrow_if_nested(error);
    } catch (const std::exception& nested) {
      add(nested);
    } catch (int number) {
      messages += " <- the int " + std::to_string(number);
    }
  }
};

}  // namespace outlive::testing
