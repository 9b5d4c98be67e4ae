#include "segment/asked_options.hpp"

#include <cstdint>
#include <string_view>

#include "error/failure.hpp"
#include "segment/header.hpp"
#include "sys/hex.hpp"

namespace outlive::detail {

namespace {

class differences {
 public:
  void at_least(std::string_view option, std::uint64_t found, std::uint64_t asked,
                std::uint64_t by_default) {
    if (asked == by_default || found >= asked) return;
    add(option, std::to_string(found), "at least " + std::to_string(asked));
  }
  void add(std::string_view option, const std::string& found, const std::string& asked) {
    if (!found_.empty()) {
      found_ += ", ";
      asked_ += ", ";
    }
    (found_ += option) += " " + found;
    asked_ += asked;
  }
  void report(const std::string& context) const {
    if (found_.empty()) return;
    detail::fail(
        errc::options_differ,
        context + ": found a segment with " + found_ + ", expected " + asked_ +
            ", as segment_options ask for: use open() to accept it as it is, or replace it");
  }

 private:
  std::string found_;
  std::string asked_;
};

const char* text_of(reader_marks marks) noexcept {
  return marks == reader_marks::locked ? "locked" : "membarrier";
}

}  // namespace

void check_asked_options(const std::string& context, const segment_constants& found,
                         const shared_memory::file_info& file, const segment_options& asked) {
  const segment_options none;
  const segment_options there = options_of(found);
  differences all;
  all.at_least("size", there.size, asked.size, none.size);
  all.at_least("directory_capacity", there.directory_capacity, asked.directory_capacity,
               none.directory_capacity);
  all.at_least("threads", there.threads, asked.threads, none.threads);
  all.at_least("participants", there.participants, asked.participants, none.participants);
  all.at_least("max_held", there.max_held, asked.max_held, none.max_held);
  all.at_least("lock_classes", there.lock_classes, asked.lock_classes, none.lock_classes);
  if (asked.attempts != none.attempts && asked.attempts != there.attempts) {
    all.add("attempts", std::to_string(there.attempts), std::to_string(asked.attempts));
  }
  if (asked.readers != none.readers && asked.readers != there.readers)
    all.add("readers", text_of(there.readers), text_of(asked.readers));
  // As the file has it now: the mode may have changed since.
  if (asked.mode != none.mode && (asked.mode & ~file.mode) != 0)
    all.add("mode", octal(file.mode), "at least " + octal(asked.mode));
  all.report(context);
}

}  // namespace outlive::detail
