// Copies of the sample segment with one byte changed each, tried in children that are replaced when
// they crash or hang.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "unit/segment_sample.hpp"

namespace outlive::testing {

/// Bytes [begin, end) of the file.
struct byte_range {
  std::size_t begin;
  std::size_t end;
};

struct damage_result {
  std::size_t tried = 0;
  std::size_t refused = 0;  // at open, or by some call after it
  std::size_t worked = 0;   // as if nothing had been changed
};

class damage_trial {
 public:
  /// Tries each byte of the ranges with each mask (xor). Whatever is neither refused nor works is a
  /// failure of the test, with its offset and mask.
  damage_result try_all(const std::vector<byte_range>& ranges,
                        const std::vector<unsigned char>& masks) {
    all_.clear();
    for (const unsigned char mask : masks) {
      for (const byte_range& range : ranges) {
        for (std::size_t at = range.begin; at < range.end; ++at) all_.push_back({at, mask});
      }
    }
    next_.store(0);
    refused_.store(0);
    // Each round ends at the end, or at a change that killed or hung the child: that one is told,
    // and left out.
    for (int rounds = 0; next_.load() < all_.size() && rounds < max_failures; ++rounds) run_child();
    EXPECT_EQ(next_.load(), all_.size()) << "too many failures: the rest was not tried";
    damage_result result;
    result.tried = all_.size();
    result.refused = refused_.load();
    result.worked = result.tried - result.refused;
    return result;
  }

  const sample_segment& sample() const { return sample_; }

  /// Where the headers of blocks and the names behind their objects stand, in the file; freed
  /// blocks included.
  std::vector<byte_range> block_headers() const {
    std::vector<byte_range> found;
    for (std::size_t at = sample_.layout().objects; at < sample_.objects_end();) {
      detail::block_header block;
      std::memcpy(static_cast<void*>(&block), sample_.bytes().data() + at, sizeof block);
      found.push_back({at, at + sizeof block});
      const std::size_t rest =
          at + sizeof block + detail::region_layout::round_up(block.size, detail::cache_line);
      if (block.name_length > detail::inline_name_bytes)
        found.push_back({rest, rest + block.name_length});
      at += std::size_t{block.lines} * detail::cache_line;
    }
    return found;
  }

 private:
  static constexpr int max_failures = 8;
  struct change {
    std::size_t offset;
    unsigned char mask;
  };

  std::string describe(std::size_t index) const {
    char text[64];
    std::snprintf(text, sizeof text, "byte %zu ^ 0x%02x", all_[index].offset,
                  static_cast<unsigned>(all_[index].mask));
    return text;
  }

  void run_child() {
    child tester("tester", [this](agent& parent) {
      int failures = 0;
      while (next_.load() < all_.size() && failures < max_failures) {
        const std::size_t index = next_.load();
        const sample_verdict verdict = try_one(all_[index]);
        if (!verdict.wrong.empty()) {
          parent.fail(describe(index) + ": " + verdict.wrong);
          ++failures;
        }
        if (verdict.refused) refused_.add();
        next_.add();
      }
    });
    std::size_t seen = next_.load();
    // Each change has the whole of default_timeout().
    while (seen < all_.size() && !tester.ended() &&
           next_.wait([&](std::size_t now) { return now != seen; }))
      seen = next_.load();
    if (!tester.ended() && next_.load() < all_.size()) {
      ADD_FAILURE() << describe(next_.load()) << ": still at it after " << default_timeout().count()
                    << " ms";
      tester.kill();
    }
    const exit_status how = tester.wait();
    if (how.exited_with(0) || how.exited_with(child::failed_exit_code)) return;
    if (!how.killed_by(SIGKILL)) ADD_FAILURE() << describe(next_.load()) << ": " << how.describe();
    next_.add();
  }

  /// A file of its own for each change: what a damaged copy leaves locked or mapped does not touch
  /// the next.
  sample_verdict try_one(const change& which) const {
    ::unlink(copy_.path().c_str());
    {
      const unique_fd made(
          ::open(copy_.path().c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
      if (made.get() < 0) return {false, "no copy could be made"};
    }
    const segment_file file(copy_.path());
    file.write(sample_.bytes());
    file.become_original();
    unsigned char byte = 0;
    if (::pread(file.fd(), &byte, 1, static_cast<off_t>(which.offset)) != 1)
      return {false, "the copy could not be read"};
    byte = static_cast<unsigned char>(byte ^ which.mask);
    file.write(&byte, 1, which.offset);
    return sample_.examine(copy_);
  }

  sample_segment sample_;
  test_name copy_;
  std::vector<change> all_;
  shared_value<std::size_t> next_;
  shared_value<std::size_t> refused_;
};

}  // namespace outlive::testing
