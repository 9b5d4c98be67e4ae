// segment_view::problems() finds what the format does not allow, and a view survives whatever
// stands in a segment.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <outlive/segment_view.hpp>

#include "unit/segment_sample.hpp"

namespace outlive::testing {
namespace {

using detail::segment_header;

/// A copy of the sample segment in a file of its own.
class damaged_copy {
 public:
  explicit damaged_copy(const sample_segment& of) {
    {
      const unique_fd made(
          ::open(name_.path().c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
    }
    const segment_file file(name_.path());
    file.write(of.bytes());
    file.become_original();
  }
  template <class T>
  void put(std::size_t at, T value) const {
    segment_file(name_.path()).write(&value, sizeof value, at);
  }
  void flip(std::size_t at, unsigned char mask) const {
    const segment_file file(name_.path());
    unsigned char byte = 0;
    ASSERT_EQ(::pread(file.fd(), &byte, 1, static_cast<off_t>(at)), 1);
    put(at, static_cast<unsigned char>(byte ^ mask));
  }
  segment_view view() const { return segment_view::open(name_); }
  std::string problems() const {
    std::string all;
    for (const auto& each : view().problems()) all += to_string(each) + '\n';
    return all;
  }

 private:
  test_name name_;
};

/// Everything that a view can tell. Returns: whether something was found to be wrong.
bool look_at_everything(const damaged_copy& at) {
  try {
    const segment_view view = at.view();
    (void)view.threads();
    (void)view.participants();
    (void)view.deaths();
    (void)view.object_count();
    for (const auto& lock : view.locks()) (void)view.lock_at(lock.offset);
    return !view.problems().empty();
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().category(), error_category()) << error.what();
    return true;
  }
}

class segment_check_test : public ::testing::Test {
 protected:
  std::size_t object_line(std::size_t line) const {
    return layout().objects + line * detail::cache_line;
  }
  const detail::region_layout& layout() const { return sample_.layout(); }
  /// Where the first block with this state lies.
  std::size_t block_with(detail::block_state state) const {
    for (std::size_t at = layout().objects; at < sample_.objects_end();) {
      detail::block_header block;
      std::memcpy(static_cast<void*>(&block), sample_.bytes().data() + at, sizeof block);
      if (block.state.load() == static_cast<std::uint32_t>(state)) return at;
      at += std::size_t{block.lines} * detail::cache_line;
    }
    throw std::logic_error("the sample has no such block");
  }
  std::size_t first_lock() const {
    for (std::size_t at = layout().objects; at < sample_.objects_end(); at += detail::cache_line) {
      std::uint32_t magic = 0;
      std::memcpy(&magic, sample_.bytes().data() + at + offsetof(detail::lock_bytes, magic),
                  sizeof magic);
      if (magic == detail::native_lock_magic) return at;
    }
    throw std::logic_error("the sample has no lock");
  }
  template <class T>
  void expect_found(std::size_t at, T value, const std::string& words) const {
    const damaged_copy copy(sample_);
    copy.put(at, value);
    const std::string problems = copy.problems();
    EXPECT_NE(problems.find(words), std::string::npos) << "no '" << words << "' in: " << problems;
  }

  sample_segment sample_;
};

TEST_F(segment_check_test, a_whole_segment_has_no_problem) {
  EXPECT_EQ(damaged_copy(sample_).problems(), "");
}

TEST_F(segment_check_test, problems_name_the_object_what_was_found_and_what_was_expected) {
  expect_found(offsetof(segment_header, reserved), std::uint8_t{1},
               "header: found reserved bytes: 0x1 in byte 0, expected zero");
  expect_found(offsetof(segment_header, records_in_use), std::uint32_t{0},
               "header: found count of thread records in use 0x0");
  expect_found(offsetof(segment_header, records_in_use), detail::guarded_count(5),
               "header: found thread records in use: 5, expected at most 4");
  expect_found(offsetof(segment_header, name_count), std::uint32_t{3},
               "header: found count of names 0x3");
  expect_found(offsetof(segment_header, directory_counts.end), std::uint64_t{1},
               "directory: found the end of its blocks 0x1");
  expect_found(offsetof(segment_header, directory_counts.live), std::uint32_t{6},
               "directory: found a count of 6 objects, expected 7");
  expect_found(layout().names + offsetof(detail::name_entry, text), 'X', "name 0: found checksum");
  expect_found(layout().names + offsetof(detail::name_entry, kind), std::uint16_t{9},
               "name 0: found kind 9, expected 1 or 2");
  expect_found(layout().marks, std::uint32_t{1},
               "marks of thread record 0, slot 0: found 0x1, expected a mutex's place");
  expect_found(layout().marks + 4, std::uint32_t{1 << 20 | 4},
               "marks of thread record 0, slot 1: found 0x100004, expected an id whose slot is 4");
  expect_found(layout().participants + offsetof(detail::participant, module_count),
               std::uint32_t{65}, "participant 0: found modules: 65");
  expect_found(layout().records + offsetof(detail::thread_record, generation),
               std::uint64_t{1} << 50, "thread record 0: found generation 0x4000000000000");
  expect_found(layout().records + sizeof(detail::thread_record), std::uint64_t{63},
               "thread record 0, entry 0: found 0x3f");
  expect_found(layout().deaths, std::uint64_t{2}, "death log, slot 0: found entry 2");
  expect_found(layout().index, std::uint64_t{1}, "slot 0 of the directory's index: found 0x1");
}

TEST_F(segment_check_test, damaged_blocks_and_locks_are_told) {
  const std::size_t live = block_with(detail::block_state::live);
  const std::size_t freed = block_with(detail::block_state::freed);
  const std::size_t lock = first_lock();
  expect_found(live + offsetof(detail::block_header, magic), std::uint32_t{0},
               "lines that are no block");
  expect_found(live + offsetof(detail::block_header, name), 'X',
               "a name or a type that does not fit its check");
  expect_found(live + offsetof(detail::block_header, state),
               static_cast<std::uint32_t>(detail::block_state::constructing),
               "being made or ended");
  expect_found(live + offsetof(detail::block_header, reserved), std::uint16_t{1}, "reserved bytes");
  expect_found(freed + offsetof(detail::block_header, next_freed), std::uint32_t{1},
               "of freed blocks: found line 0");
  expect_found(lock + offsetof(detail::lock_bytes, state), std::uint64_t{0},
               "mutex \"account\": found state 0x0");
  expect_found(lock + offsetof(detail::lock_bytes, state), std::uint64_t{0x0001'0003'0000'0001},
               "a holder in thread record 2 at life 0x1");
  expect_found(lock + offsetof(detail::lock_bytes, state), std::uint64_t{0x0001'0009'0000'0001},
               "a holder in thread record 8, expected at most 3");
  expect_found(lock + offsetof(detail::lock_bytes, lock_class), std::uint32_t{77},
               "mutex \"account\": found lock class 0x4d");
  expect_found(lock + offsetof(detail::lock_bytes, magic), std::uint32_t{0},
               "object \"account\": found no mutex");
  expect_found(lock, std::uint32_t{0x3ffffff0},
               "mutex \"account\": found thread 1073741808 as the owner");
}

TEST_F(segment_check_test, a_list_of_freed_blocks_that_goes_in_a_circle_ends) {
  const std::size_t freed = block_with(detail::block_state::freed);
  const auto line = static_cast<std::uint32_t>((freed - layout().objects) / detail::cache_line);
  expect_found(freed + offsetof(detail::block_header, next_freed), line + 1,
               "freed blocks on its lists");
}

/// Random changes anywhere: nothing but an answer or an error of outlive comes of them.
TEST_F(segment_check_test, a_view_survives_random_bytes) {
  std::mt19937_64 random(20);
  for (int round = 0; round < 150; ++round) {
    const damaged_copy copy(sample_);
    const int changes = 1 << (round % 8);
    for (int i = 0; i < changes; ++i) {
      // Not the header's constants: with another checksum nothing else would be looked at.
      const std::size_t at =
          sizeof(detail::segment_constants) +
          random() % (sample_.objects_end() - sizeof(detail::segment_constants) - 8);
      if (round % 2 == 0)
        copy.put(at / 8 * 8, random());
      else
        copy.flip(at, static_cast<unsigned char>(1U << random() % 8));
    }
    look_at_everything(copy);
  }
}

/// In what has a check, a changed bit is found. Of the rest (counters, notes, names of threads)
/// every value is right.
TEST_F(segment_check_test, a_changed_bit_in_what_is_checked_is_found) {
  struct range {
    const char* what;
    std::size_t begin, end;
  };
  const std::size_t live = block_with(detail::block_state::live);
  const std::size_t lock = first_lock();
  const range ranges[] = {
      {"constants", 0, sizeof(detail::segment_constants)},
      {"header's reserved bytes", offsetof(segment_header, reserved),
       offsetof(segment_header, owner_deaths)},
      {"directory's counts", offsetof(segment_header, directory_counts),
       offsetof(segment_header, entrants)},
      // Between them the threads at internal locks: any of those may have been there.
      {"header's padding",
       offsetof(segment_header, entrants) + detail::max_entrants * sizeof(detail::shared_u64),
       sizeof(segment_header)},
      {"names", layout().names, layout().names + 8},
      {"names' text", layout().names + offsetof(detail::name_entry, length),
       layout().names + sizeof(detail::name_entry)},
      {"marks", layout().marks, layout().marks + 2 * detail::marks_bytes},
      {"index", layout().index, layout().index + layout().index_slots * sizeof(detail::index_slot)},
      {"block", live, live + offsetof(detail::block_header, next_freed)},
      {"block's name", live + offsetof(detail::block_header, type_name),
       live + offsetof(detail::block_header, name) + 6},
      {"class and magic of a lock", lock + offsetof(detail::lock_bytes, lock_class),
       lock + offsetof(detail::lock_bytes, magic) + 4},
  };
  std::mt19937_64 random(21);
  for (const range& each : ranges) {
    int missed = 0;
    for (int i = 0; i < 25; ++i) {
      const damaged_copy copy(sample_);
      const std::size_t at = each.begin + random() % (each.end - each.begin);
      copy.flip(at, static_cast<unsigned char>(1U << random() % 8));
      if (!look_at_everything(copy)) ++missed;
    }
    EXPECT_EQ(missed, 0) << each.what;
  }
}

}  // namespace
}  // namespace outlive::testing
