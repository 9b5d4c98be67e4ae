#include "mapping/segment_name.hpp"

#include <cstddef>

#include "error/failure.hpp"

namespace outlive::detail {

namespace {
constexpr std::size_t max_segment_name_bytes = 200;
}

std::string segment_path(std::string_view name) {
  return std::string(segment_folder) + "/outlive." + std::string(name);
}

std::string describe_segment(std::string_view name) {
  return name.empty() ? "anonymous segment" : "segment \"" + std::string(name) + '"';
}

std::string quoted_segment(std::string_view name) {
  return "segment " + quoted(name);
}

void check_segment_name(std::string_view name) {
  const char* wrong = nullptr;
  if (name.empty()) wrong = "an empty name";
  if (name.size() > max_segment_name_bytes) wrong = "a name that is too long";
  if (name.find('/') != std::string_view::npos) wrong = "a slash";
  if (name.find('\0') != std::string_view::npos) wrong = "a zero byte";
  if (wrong == nullptr) return;
  fail(errc::invalid_name, quoted_segment(name) + ": found " + wrong + ", expected 1 to " +
                               std::to_string(max_segment_name_bytes) +
                               " bytes without a slash or a zero byte");
}

void rethrow_named(const std::system_error& error, const std::string& what) {
  if (error.code().category() == error_category()) throw;
  std::string text = error.what();
  const std::string tail = ": " + error.code().message();  // the new error adds it again
  if (text.ends_with(tail)) text.resize(text.size() - tail.size());
  throw std::system_error(error.code(), what + ": " + text);
}

}  // namespace outlive::detail
