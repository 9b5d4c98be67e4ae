// Stores within a transaction that it has not saved are named. The transaction is one of the test's
// own: an undo journal of whole words.
#include <outlive/killtest/gtest.hpp>
#include <outlive/killtest/transaction_watch.hpp>

#include <gmock/gmock.h>

#include <string>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct saved_word {
  long at = 0;  // index into the words; -1: none
  long was = 0;
};
struct words {
  long count = 0;  // of what is saved; set back to 0 by a commit
  saved_word saved[4];
  long word[4] = {};
};
using guarded_words = guarded<words>;

class undo {
 public:
  explicit undo(words& of) : of_(of) {
    transaction_begins();
    transaction_saved(&of_.count, sizeof of_.count + sizeof of_.saved);
  }
  void save(long at) {
    of_.saved[of_.count] = {at, of_.word[at]};
    crash_barrier();
    of_.count = of_.count + 1;
    crash_barrier();
    transaction_saved(&of_.word[at], sizeof of_.word[at]);
  }
  ~undo() {
    crash_barrier();
    of_.count = 0;
    transaction_ends();
  }
  undo(const undo&) = delete;
  undo& operator=(const undo&) = delete;

 private:
  words& of_;
};

repair_result roll_back(words& of, const owner_death&) {
  for (long i = 0; i < of.count; ++i) {
    of.word[of.saved[i].at] = of.saved[i].was;
    crash_barrier();
  }
  of.count = 0;
  return repaired;
}

scenario words_scenario(void (*victim)(words& of)) {
  scenario made;
  made.name = "words";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded_words>("words", "words"));
  };
  made.repairs = [](segment& seg) {
    return all_of(on_owner_death<words>(seg, "words", &roll_back));
  };
  made.victim = [=](segment& seg) { victim(*seg.find<guarded_words>("words")->lock()); };
  made.invariant = [](segment&) { return std::string(); };
  return made;
}

void store_more_than_is_saved(words& of) {
  undo change(of);
  change.save(0);
  change.save(1);
  of.word[0] = 1;
  crash_barrier();
  of.word[2] = 1;
  crash_barrier();
  of.word[1] = 1;
}

report explore_by(engine which, void (*victim)(words& of)) {
  explore_options how;
  how.with = which;
  how.depth = 1;
  how.confirm = 2;
  return explore(words_scenario(victim), how);
}

TEST(transaction_watch, a_store_that_was_not_saved_is_named_by_each_engine) {
  for (const engine each : {engine::page_protection, engine::single_step}) {
    const report found = explore_by(each, &store_more_than_is_saved);
    EXPECT_THAT(found.unsaved, ElementsAre(AllOf(HasSubstr("in \"words\", at byte 152 of it"),
                                                 HasSubstr(", at transaction_watch_test.cpp:"),
                                                 HasSubstr("store_more_than_is_saved()"))))
        << found;
    EXPECT_THAT(found.summary(), HasSubstr("stored, and not saved: in \"words\""));
  }
}

TEST(transaction_watch, stores_to_what_was_saved_are_not_named) {
  const report found = explore_by(engine::page_protection, [](words& of) {
    undo change(of);
    change.save(3);
    of.word[3] = 1;
    change.save(2);
    of.word[2] = 1;
  });
  EXPECT_TRUE(found.ok()) << found;
  EXPECT_THAT(found.unsaved, IsEmpty());
}

TEST(transaction_watch, a_store_before_its_word_is_saved_is_named) {
  const report found = explore_by(engine::page_protection, [](words& of) {
    undo change(of);
    of.word[3] = 1;
    crash_barrier();
    change.save(3);
  });
  EXPECT_EQ(found.unsaved.size(), 1U) << found;
}

TEST(transaction_watch, what_is_stored_after_the_end_or_without_a_transaction_is_not_named) {
  const report found = explore_by(engine::page_protection, [](words& of) {
    of.word[0] = 1;
    crash_barrier();
    {
      undo change(of);
      change.save(1);
      of.word[1] = 1;
    }
    crash_barrier();
    of.word[1] = 2;
  });
  EXPECT_THAT(found.unsaved, IsEmpty()) << found;
}

TEST(transaction_watch, what_the_outer_of_two_has_saved_counts_in_the_inner_one) {
  const report found = explore_by(engine::page_protection, [](words& of) {
    undo outer(of);
    outer.save(1);
    transaction_begins();
    of.word[1] = 1;
    crash_barrier();
    transaction_ends();
    of.word[1] = 2;
  });
  EXPECT_THAT(found.unsaved, IsEmpty()) << found;
}

}  // namespace
}  // namespace outlive::killtest::testing
