// A lock class that is another one than the mutex was made with leads to no repair: that would
// write over something else.
#include <outlive/outlive.hpp>

#include <gtest/gtest.h>

#include <cstdint>

#include "directory/directory.hpp"
#include "directory/lock_class.hpp"
#include "segment/segment_access.hpp"
#include "unit/robust_mutex_fixture.hpp"

namespace outlive::testing {
namespace {

struct bank {
  long a = 500, b = 500;
};
struct ledger {
  long entries[40] = {};
};
struct pair_of_banks {
  guarded<bank> first{"bank"};
  guarded<bank> second{"bank"};
};
struct bank_and_bare {
  guarded<bank> account{"bank"};
  robust_mutex bare{"bare"};
};

}  // namespace
}  // namespace outlive::testing

template <>
inline constexpr bool outlive::shareable<outlive::testing::pair_of_banks> = true;
template <>
inline constexpr bool outlive::shareable<outlive::testing::bank_and_bare> = true;

namespace outlive::testing {
namespace {

struct lock_class_test : ::testing::Test {
  segment seg = segment::anonymous(few_of_everything());
  guarded<bank>& account = seg.find_or_construct<guarded<bank>>("account", "bank");
  guarded<ledger>& book = seg.find_or_construct<guarded<ledger>>("book", "ledger");
  robust_mutex& bare = seg.find_or_construct<robust_mutex>("bare", "bare");
  int right_repairs = 0;
  int wrong_repairs = 0;
  repair_registration right = on_owner_death<bank>(seg, "bank", [this](bank&, const owner_death&) {
    ++right_repairs;
    return repaired;
  });
  repair_registration wrong =
      on_owner_death<ledger>(seg, "ledger", [this](ledger&, const owner_death&) {
        ++wrong_repairs;
        return repaired;
      });
  repair_registration also_wrong = on_owner_death(seg, "bare", [this](const owner_death&) {
    ++wrong_repairs;
    return repaired;
  });

  detail::mapping& map() { return *detail::segment_access::mapping_of(seg); }
  static detail::lock_bytes& bytes_of(robust_mutex& mutex) {
    return reinterpret_cast<detail::lock_bytes&>(mutex);
  }
  detail::name_entry& entry_of(robust_mutex& mutex) {
    return map().name_at(*detail::lock_class_of(map(), bytes_of(mutex)));
  }

  /// Its owner dies, the word or byte is changed by `damage`, and comes back by `undo`.
  template <class Damage, class Undo>
  void expect_no_repair(robust_mutex& mutex, Damage damage, Undo undo, const std::string& what) {
    die_holding(mutex);
    const int before = right_repairs;
    damage();
    EXPECT_EQ(lock_code(mutex), errc::damaged) << what;
    for (const recovered_mutex& line : recover(seg)) EXPECT_EQ(line.error, errc::damaged) << what;
    undo();
    EXPECT_EQ(right_repairs, before) << what;
    EXPECT_EQ(lock_code(mutex), std::error_code()) << what;
    EXPECT_EQ(right_repairs, before + 1) << what;
    EXPECT_EQ(wrong_repairs, 0) << what;
  }
};

TEST_F(lock_class_test, any_changed_bit_is_damage) {
  std::uint32_t& word = bytes_of(account.mutex()).lock_class;
  for (unsigned bit = 0; bit < 32; ++bit) {
    const auto flip = [&] { word ^= std::uint32_t{1} << bit; };
    expect_no_repair(account.mutex(), flip, flip, "bit " + std::to_string(bit));
  }
}

TEST_F(lock_class_test, the_word_of_another_mutex_is_damage) {
  std::uint32_t& word = bytes_of(account.mutex()).lock_class;
  const std::uint32_t own = word;
  for (robust_mutex* other : {&book.mutex(), &bare}) {
    expect_no_repair(
        account.mutex(), [&] { word = bytes_of(*other).lock_class; }, [&] { word = own; },
        other == &bare ? "bare" : "book");
  }
}

// Nothing that the object says contradicts it there: only the mutex's place does.
TEST_F(lock_class_test, the_word_of_another_mutex_of_the_same_object_is_damage) {
  auto& both = seg.find_or_construct<bank_and_bare>("both");
  std::uint32_t& word = bytes_of(both.account.mutex()).lock_class;
  const std::uint32_t own = word;
  expect_no_repair(
      both.account.mutex(), [&] { word = bytes_of(both.bare).lock_class; }, [&] { word = own; },
      "bare");
}

// The word fits, as after a stray write that happens to have the check: the object says what its
// mutex guards.
TEST_F(lock_class_test, a_class_that_guards_another_type_is_damage) {
  std::uint32_t& word = bytes_of(account.mutex()).lock_class;
  const std::uint32_t own = word;
  const std::uint64_t offset = map().offset_of(&account);
  for (robust_mutex* other : {&book.mutex(), &bare}) {
    const std::uint32_t index = *detail::lock_class_of(map(), bytes_of(*other));
    expect_no_repair(
        account.mutex(), [&] { word = detail::pack_lock_class(index, offset); },
        [&] { word = own; }, other == &bare ? "bare" : "book");
  }
}

TEST_F(lock_class_test, a_changed_entry_of_the_class_is_damage) {
  detail::name_entry& entry = entry_of(account.mutex());
  for (unsigned bit = 0; bit < 64; ++bit) {
    const auto flip = [&] { entry.guards.fetch_xor(std::uint64_t{1} << bit); };
    expect_no_repair(account.mutex(), flip, flip, "guards, bit " + std::to_string(bit));
  }
  const auto flip_size = [&] { entry.value_size ^= 1024; };
  expect_no_repair(account.mutex(), flip_size, flip_size, "size");
  const auto flip_text = [&] { entry.text[0] ^= 1; };
  expect_no_repair(account.mutex(), flip_text, flip_text, "text");
}

// In a struct of the user's, where the type does not say what each mutex guards: the value must lie
// within the object.
TEST_F(lock_class_test, a_value_beyond_the_object_is_damage) {
  auto& both = seg.find_or_construct<pair_of_banks>("both");
  std::uint32_t& word = bytes_of(both.second.mutex()).lock_class;
  const std::uint32_t own = word;
  const std::uint32_t ledger_class = *detail::lock_class_of(map(), bytes_of(book.mutex()));
  const std::uint64_t offset = map().offset_of(&both.second);
  expect_no_repair(
      both.second.mutex(), [&] { word = detail::pack_lock_class(ledger_class, offset); },
      [&] { word = own; }, "second of two");
}

TEST_F(lock_class_test, mutexes_that_lie_near_have_different_words) {
  for (const std::uint64_t from : {0U, 65'530U}) {
    for (std::uint64_t line = 1; line < 65'536; ++line) {
      ASSERT_NE(detail::pack_lock_class(3, (from + line) * 64),
                detail::pack_lock_class(3, from * 64))
          << line;
    }
  }
}

}  // namespace
}  // namespace outlive::testing
