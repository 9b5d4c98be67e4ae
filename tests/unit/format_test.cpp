// The bytes of a segment, read as docs/format.md describes them and without the library's own
// structs: another program must be able to.
#include <outlive/guarded.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

class bytes {
 public:
  explicit bytes(std::vector<unsigned char> all) : all_(std::move(all)) {}
  template <class T>
  T at(std::size_t offset) const {
    T value;
    std::memcpy(&value, all_.data() + offset, sizeof value);
    return value;
  }
  std::uint32_t u32(std::size_t offset) const { return at<std::uint32_t>(offset); }
  std::uint64_t u64(std::size_t offset) const { return at<std::uint64_t>(offset); }
  std::string text(std::size_t offset, std::size_t size) const {
    return std::string(reinterpret_cast<const char*>(all_.data()) + offset, size);
  }
  std::size_t size() const { return all_.size(); }

 private:
  std::vector<unsigned char> all_;
};

struct format : ::testing::Test {
  test_name name;
  segment seg = segment::create(name, few_of_everything());
  bytes file() const { return bytes(segment_file(name.path()).read()); }

  // Where the regions of few_of_everything() begin, by the table in docs/format.md.
  static constexpr std::size_t records = 4096 + 2 * 6144;
  static constexpr std::size_t stride = 128 + 128;  // (max_held + 1) * 16, rounded up to 64
  static constexpr std::size_t marks = records + (2 + 2) * stride;
  static constexpr std::size_t crashes = marks + (2 + 2) * 128;
  static constexpr std::size_t names = crashes + (2 + 2) * 320;
  static constexpr std::size_t deaths = names + 9 * 192;
  static constexpr std::size_t index = deaths + 256 * 1024;
  static constexpr std::size_t slots = 32;
  static constexpr std::size_t objects = (index + slots * 8 + 4095) / 4096 * 4096;
};

TEST_F(format, the_header_says_what_the_segment_is) {
  const bytes at = file();
  EXPECT_EQ(at.text(0, 8), "OUTLIVE1");
  EXPECT_EQ(at.u32(8), 2U);
  EXPECT_EQ(at.u32(12), seg.options().readers == reader_marks::membarrier ? 1U : 0U);
#if defined(__x86_64__) && defined(__GLIBC__)
  EXPECT_EQ(at.u64(16), 0x003e'0801'0028'0040U);
#endif
  EXPECT_EQ(at.u64(24), at.size());
  EXPECT_EQ(at.u64(32), 4096U);
  const std::uint32_t numbers[] = {16, 2, 2, 4, 3, 9, 0600};
  for (std::size_t i = 0; i < std::size(numbers); ++i)
    EXPECT_EQ(at.u32(64 + 4 * i), numbers[i]) << i;
  struct stat info {};
  ASSERT_EQ(stat(name.path().c_str(), &info), 0);
  EXPECT_EQ(at.u64(96), info.st_ino);
  EXPECT_STREQ(at.text(104, 208).c_str(), std::string(name).c_str());
  EXPECT_EQ(at.size(), objects + 4096);
}

TEST_F(format, the_time_namespace_is_this_processs) {
  struct stat info {};
  const bool exists = stat("/proc/self/ns/time", &info) == 0;
  EXPECT_EQ(file().u32(92), exists ? static_cast<std::uint32_t>(info.st_ino) : 0U);
}

TEST_F(format, the_boot_id_is_the_machines) {
  std::ifstream file_of_the_kernel("/proc/sys/kernel/random/boot_id");
  std::string text;
  file_of_the_kernel >> text;
  std::string hex;
  for (const char each : file().text(48, 16)) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x",
                  static_cast<unsigned>(static_cast<unsigned char>(each)));
    hex += digits;
  }
  text.erase(std::remove(text.begin(), text.end(), '-'), text.end());
  EXPECT_EQ(hex, text);
}

TEST_F(format, the_pid_namespace_is_this_processs) {
  struct stat info {};
  ASSERT_EQ(::stat("/proc/self/ns/pid", &info), 0);
  EXPECT_EQ(file().u64(40), info.st_ino);
}

TEST_F(format, a_fresh_segment_counts_nothing) {
  const bytes at = file();
  EXPECT_EQ(at.u32(512), 0xffff0000U);
  EXPECT_EQ(at.u32(516), 0xffff0000U);
  EXPECT_EQ(at.u64(520), 0U);
  EXPECT_EQ(at.u64(576), 0xffffffff'00000000U);
  EXPECT_EQ(at.u64(584), 0U);
  for (std::size_t slot = 0; slot < slots; ++slot) EXPECT_EQ(at.u64(index + 16 * slot), 0U);
}

TEST_F(format, a_mutex_is_a_native_one_a_state_a_class_and_a_magic) {
  auto& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  const auto offset = static_cast<std::size_t>(reinterpret_cast<const char*>(&mutex) -
                                               static_cast<const char*>(seg.base()));
#if defined(__x86_64__)
  constexpr std::size_t state = 40;
#else
  constexpr std::size_t state = 48;
#endif
  EXPECT_EQ(file().u64(offset + state), 1U);
  EXPECT_EQ(file().text(offset + state + 12, 4), "lock");
  const std::uint32_t lock_class = file().u32(offset + state + 8);
  EXPECT_EQ(file().text(names + (lock_class & 0xffffU) * 192 + 40, 5), "class");
  EXPECT_EQ(lock_class >> 16, (~lock_class & 0xffffU) ^ offset / 64);
  mutex.lock();
  // Record 0 at its first life, inside.
  EXPECT_EQ(file().u64(offset + state), 1ULL << 48 | 1ULL << 32 | 1U);
  EXPECT_EQ(file().u32(offset), static_cast<std::uint32_t>(gettid()));
  EXPECT_EQ(file().u64(records + 128), offset);
  mutex.unlock();
  EXPECT_EQ(file().u64(offset + state), 1U);
  EXPECT_EQ(file().u32(offset), 0U);
  EXPECT_EQ(file().u64(records + 128), 0U);
  seg.destroy<robust_mutex>("mutex");
  EXPECT_EQ(file().text(offset + state + 12, 4), "dead");
}

TEST_F(format, a_name_tells_the_measures_of_what_is_guarded) {
  seg.find_or_construct<guarded<std::array<short, 5>>>("object", "class");
  const bytes at = file();
  ASSERT_EQ(at.u32(516) & 0xffffU, 2U);
  EXPECT_EQ(at.text(names + 40, 18), "N7outlive7guardedI");
  EXPECT_EQ(at.at<std::uint16_t>(names + 38), 2U);
  EXPECT_EQ(at.text(names + 192 + 40, 5), "class");
  EXPECT_EQ(at.at<std::uint16_t>(names + 192 + 38), 1U);
  EXPECT_EQ(at.u64(names + 8), at.u64(names + 192 + 8));  // guards the same
  // of the innermost value, of what is guarded
  EXPECT_EQ(at.u64(names + 16), sizeof(short));
  EXPECT_EQ(at.u64(names + 192 + 16), 5 * sizeof(short));
  for (const std::size_t entry : {names, names + 192}) {
    EXPECT_EQ(at.u32(entry + 24), 64U);
    EXPECT_EQ(at.u32(entry + 28), 0U);
    EXPECT_EQ(at.u32(entry + 32), alignof(short));
  }
}

TEST_F(format, a_thread_record_names_its_thread) {
  auto& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  pthread_setname_np(pthread_self(), "the thread");
  mutex.lock();
  mutex.unlock();
  const bytes at = file();
  EXPECT_EQ(at.u32(512), 0xfffe0001U);
  // the liveness mutex
  EXPECT_EQ(at.u32(records) & 0x3fffffffU, static_cast<std::uint32_t>(gettid()));
  EXPECT_EQ(at.u64(records + 48), 1U);
  EXPECT_EQ(at.u32(records + 56), static_cast<std::uint32_t>(gettid()));
  EXPECT_EQ(at.u32(records + 60), static_cast<std::uint32_t>(getpid()));
  EXPECT_STREQ(at.text(records + 72, 16).c_str(), "the thread");
  EXPECT_EQ(at.u64(records + 96), 1U);  // acquisitions
}

TEST_F(format, a_participant_names_its_process) {
  const bytes at = file();
  EXPECT_EQ(at.u64(4096) >> 32, static_cast<std::uint64_t>(getpid()));
  const std::size_t modules = at.u32(4096 + 24);
  ASSERT_GT(modules, 1U);
  std::string program(4096, '\0');
  program.resize(
      static_cast<std::size_t>(::readlink("/proc/self/exe", program.data(), program.size())));
  bool found = false;
  for (std::size_t i = 0; i < modules; ++i) {
    const std::size_t entry = 4096 + 64 + 48 * i;
    EXPECT_LT(at.u64(entry + 8), at.u64(entry + 16));
    const std::size_t path = 4096 + 3136 + at.at<std::uint16_t>(entry + 24);
    found = found || at.text(path, program.size() + 1) == program + '\0';
  }
  EXPECT_TRUE(found) << program;
}

TEST_F(format, blocks_follow_each_other_and_the_index_leads_to_them) {
  const std::string long_name(40, 'l');
  seg.find_or_construct<int>("number", 7);
  seg.find_or_construct<std::array<char, 100>>(long_name);
  const bytes at = file();
  // 1 + 1, and 1 + 2 + 1 for the name
  EXPECT_EQ(at.u64(576), (~std::uint64_t{6} << 32 & 0xffffffff'00000000U) | 6U);
  EXPECT_EQ(at.u32(584), 2U);
  struct block {
    std::size_t line;
    std::uint64_t size;
    std::uint32_t lines;
    std::size_t name_at;
    std::string name;
  };
  for (const block& each : {block{0, 4, 2, 48, "number"}, block{2, 100, 4, 64 + 128, long_name}}) {
    const std::size_t header = objects + each.line * 64;
    EXPECT_EQ(at.text(header, 4), "blck");
    EXPECT_EQ(at.u64(header + 16), each.size);
    EXPECT_EQ(at.u32(header + 24), each.lines);
    EXPECT_EQ(at.text(header + 28, 4), "live");
    EXPECT_EQ(at.at<std::uint16_t>(header + 44), each.name.size());
    EXPECT_EQ(at.text(header + each.name_at, each.name.size()), each.name);
    std::size_t leading = 0;
    for (std::size_t slot = 0; slot < slots; ++slot) {
      const std::uint64_t word = at.u64(index + 8 * slot);
      const std::uint64_t folded = word ^ word >> 32;
      const std::uint64_t folded_more = folded ^ folded >> 16;
      EXPECT_EQ((folded_more ^ folded_more >> 8) & 0xffU, 0U) << "slot " << slot;
      leading += (word & 0xffffffffU) == each.line + 1 ? 1U : 0U;
    }
    EXPECT_EQ(leading, 1U) << each.name;
  }
  EXPECT_EQ(at.u32(objects + 64), 7U);
  seg.destroy<int>("number");
  EXPECT_EQ(file().text(objects + 28, 4), "free");
}

}  // namespace
}  // namespace outlive::testing
