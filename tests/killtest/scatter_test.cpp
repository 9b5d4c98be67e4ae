// Scatters of AVX-512: one instruction that stores to several places, and that a death can
// interrupt in between.
#include <outlive/killtest/gtest.hpp>

#include <gmock/gmock.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <string>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

#if defined(__x86_64__)

constexpr int elements = 8;
constexpr std::size_t page_words = 512;

struct table {
  std::int64_t words[6 * page_words] = {};
};
using guarded_table = guarded<table>;

/// Stores 1 into each `stride`-th word.
[[gnu::noinline, gnu::target("avx512f")]] void scatter(table& of, std::int64_t stride) {
  const __m512i at = _mm512_set_epi64(7 * stride, 6 * stride, 5 * stride, 4 * stride, 3 * stride,
                                      2 * stride, stride, 0);
  _mm512_i64scatter_epi64(of.words, at, _mm512_set1_epi64(1), 8);
}

scenario table_scenario(void (*victim)(table& of)) {
  scenario made;
  made.name = "table";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded_table>("table", "table"));
  };
  made.repairs = [](segment& seg) {
    return all_of(
        on_owner_death<table>(seg, "table", [](table&, const owner_death&) { return repaired; }));
  };
  made.victim = [=](segment& seg) { victim(*seg.find<guarded_table>("table")->lock()); };
  made.invariant = [](segment&) { return std::string(); };
  return made;
}

class scatters : public ::testing::Test {
 protected:
  void SetUp() override {
    if (__builtin_cpu_supports("avx512f") == 0) GTEST_SKIP() << "this processor has no AVX-512";
  }
};

TEST_F(scatters, deaths_within_one_are_said_to_be_left_out_by_each_engine) {
  for (const engine each : {engine::page_protection, engine::single_step}) {
    explore_options how;
    how.with = each;
    how.depth = 1;
    how.confirm = 4;
    const report found = explore(table_scenario([](table& of) { scatter(of, 2); }), how);
    EXPECT_TRUE(found.ok()) << found;
    EXPECT_THAT(found.cut, Contains(AllOf(HasSubstr("deaths within an instruction that stores to "
                                                    "several places (scatter), at "),
                                          HasSubstr("scatter() scatter_test.cpp:"))))
        << found;
  }
}

TEST_F(scatters, one_to_many_pages_is_seen_whole) {
  explore_options how;
  how.depth = 1;
  how.confirm = 4;
  const report found =
      explore(table_scenario([](table& of) { scatter(of, 3 * page_words / 4); }), how);
  EXPECT_TRUE(found.fault.empty()) << found;
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_EQ(found.confirmed, 4U) << found;
  EXPECT_THAT(found.cut, Contains(HasSubstr("(scatter)"))) << found;
}

TEST(stores_of_one_place, leave_nothing_out) {
  explore_options how;
  how.with = engine::page_protection;
  const report found = explore(table_scenario([](table& of) {
                                 for (int i = 0; i < elements; ++i) of.words[2 * i] = 1;
                               }),
                               how);
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_THAT(found.cut, IsEmpty()) << found;
}

#endif

}  // namespace
}  // namespace outlive::killtest::testing
