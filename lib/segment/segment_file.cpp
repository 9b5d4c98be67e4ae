#include "segment/segment_file.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "error/failure.hpp"
#include "mapping/segment_name.hpp"
#include "sys/hex.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

namespace {

void check_owner(const std::string& context, std::uint32_t found,
                 const std::vector<std::uint32_t>& expected) {
  const std::uint32_t own = effective_user();
  if (found == own || std::find(expected.begin(), expected.end(), found) != expected.end()) return;
  std::string all = std::to_string(own);
  for (const std::uint32_t each : expected) all += " or " + std::to_string(each);
  fail(errc::wrong_owner, context + ": found owner uid " + std::to_string(found) +
                              ", expected uid " + all + " (segment_options::expected_owners)");
}

void check_file_system(const std::string& context, const std::string& what, std::uint64_t found) {
  if (found == shared_memory::tmpfs) return;
  fail(errc::wrong_file_system,
       context + ": found " + what + " on a file system of type " + hex(found) +
           ", expected a tmpfs (" + hex(shared_memory::tmpfs) +
           "): elsewhere two processes that map a file may not see each other's locks");
}

// "Permission denied" alone does not say who may.
[[noreturn]] void rethrow_denied(const std::system_error& error, std::string_view name,
                                 file_access access) {
  std::optional<shared_memory::file_info> file;
  try {
    file = shared_memory::inspect_path(segment_path(name));
  } catch (const std::system_error&) {
    // The folder itself is closed to this user.
  }
  if (!file) rethrow_named(error, quoted_segment(name));
  throw std::system_error(error.code(),
                          quoted_segment(name) + ": found " + segment_path(name) + " of uid " +
                              std::to_string(file->owner) + " with mode " + octal(file->mode) +
                              ", expected that uid " + std::to_string(effective_user()) + " may " +
                              (access == file_access::read_only ? "read" : "write") +
                              " it (segment_options::mode of the program that makes it)");
}

}  // namespace

void check_folder(const std::string& context) {
  check_file_system(context, segment_folder, shared_memory::file_system_at(segment_folder));
}

file_descriptor open_segment_file(std::string_view name, file_access access) {
  const std::string path = segment_path(name);
  try {
    return shared_memory::open(path, access);
  } catch (const std::system_error& error) {
    // open() refuses a symbolic link, a socket, a FIFO and a device, each with another error.
    if (const char* const kind = shared_memory::other_kind_at(path)) {
      fail(errc::damaged, quoted_segment(name) + ": found " + kind + ", expected a segment");
    }
    if (error.code() == std::errc::permission_denied) rethrow_denied(error, name, access);
    rethrow_named(error, quoted_segment(name));
  }
}

void check_access(const std::string& context, const shared_memory::file_info& file,
                  const segment_options& options) {
  if (file.other_kind != nullptr)
    fail(errc::damaged, context + ": found " + file.other_kind + ", expected a segment");
  check_file_system(context, "its file", file.file_system);
  check_owner(context, file.owner, options.expected_owners);
  if ((file.mode & 022 & ~options.mode) != 0) {
    fail(errc::writable_by_others, context + ": found mode " + octal(file.mode) +
                                       ", expected no write permission beyond mode " +
                                       octal(options.mode) + " (segment_options::mode)");
  }
}

void check_extent(const std::string& context, const shared_memory::file_info& file,
                  std::uint64_t size) {
  if (file.size != size) {
    fail(errc::damaged, context + ": found a file of " + std::to_string(file.size) +
                            " bytes, expected " + std::to_string(size));
  }
  if (file.allocated < size) {
    fail(errc::damaged, context + ": found a file with holes, with memory for " +
                            std::to_string(file.allocated) + " bytes, expected " +
                            std::to_string(size) + ": a sparse copy, or a file with punched holes");
  }
}

void rethrow_refusal(const std::system_error& error, const std::string& what) {
  if (error.code() != errc::damaged) rethrow_named(error, what);
  std::string text = error.what();
  text.resize(text.size() - (": " + error.code().message()).size());  // fail() adds it again
  fail(errc::damaged, text +
                          "; nobody can open it any more: look for what wrote there, then remove "
                          "it (`outlive rm --force`), and the next program makes a new one");
}

}  // namespace outlive::detail
