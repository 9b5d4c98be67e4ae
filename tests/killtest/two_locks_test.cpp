// Several locks: each repair looks right alone, and together they are not.
#include <outlive/killtest/gtest.hpp>

#include <gmock/gmock.h>

#include <string>

#include "killtest/bank.hpp"

namespace outlive::killtest::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

/// `from` has the journal of a transfer between the two: whoever moves money holds both mutexes,
/// and takes that of `from` first.
struct account {
  long balance = 500;
  long undo_own = 0;
  long undo_other = 0;
  long under_way = 0;
};

using guarded_account = guarded<account>;

scenario two_accounts(repair_result (*repair)(account& from, account& to)) {
  scenario made;
  made.name = "two accounts";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded_account>("from", "from"));
    static_cast<void>(seg.find_or_construct<guarded_account>("to", "to"));
  };
  made.repairs = [=](segment& seg) {
    auto& to = *seg.find<guarded_account>("to");
    return all_of(
        on_owner_death<account>(
            seg, "from",
            [=, &to](account& from, const owner_death&) { return repair(from, to.unguarded()); }),
        on_owner_death<account>(seg, "to", [](account&, const owner_death&) { return repaired; }));
  };
  made.victim = [](segment& seg) {
    auto from = seg.find<guarded_account>("from")->lock();
    auto to = seg.find<guarded_account>("to")->lock();
    from->undo_own = from->balance;
    from->undo_other = to->balance;
    crash_barrier();
    from->under_way = 1;
    crash_barrier();
    from->balance -= 1;
    crash_barrier();
    to->balance += 1;
    crash_barrier();
    from->under_way = 0;
  };
  made.invariant = [](segment& seg) {
    const auto from = seg.find<guarded_account>("from")->lock();
    const auto to = seg.find<guarded_account>("to")->lock();
    const long sum = from->balance + to->balance;
    return sum == 1000 ? std::string() : "together they have " + std::to_string(sum) + ", not 1000";
  };
  return made;
}

TEST(two_locks, repairs_that_look_right_alone_are_found_wrong_together) {
  const report found = explore(two_accounts([](account& from, account&) {
    // The mutex of `from` guards `from`: so that is what is rolled back.
    if (from.under_way != 0) from.balance = from.undo_own;
    crash_barrier();
    from.under_way = 0;
    return repaired;
  }));
  EXPECT_GT(found.failed(), 0U) << found;
  for (const crash_state& each : found.states) {
    if (each.result == verdict::ok) continue;
    EXPECT_EQ(each.result, verdict::invariant_violated) << found;
    EXPECT_TRUE(each.confirmed) << found;
  }
}

TEST(two_locks, a_repair_of_both_accounts_survives) {
  EXPECT_SURVIVES_KILLS(two_accounts([](account& from, account& to) {
    if (from.under_way == 0) return repaired;
    from.balance = from.undo_own;
    crash_barrier();
    to.balance = from.undo_other;
    crash_barrier();
    from.under_way = 0;
    return repaired;
  }));
}

/// Two shelves, and one journal word with a bit for each. A repair clears the bits `clears`.
struct shelf {
  long boxes = 5;
  long before = 5;
};
struct shelf_journal {
  unsigned under_way = 0;
};
using guarded_shelf = guarded<shelf>;

constexpr unsigned left_bit = 1;
constexpr unsigned right_bit = 2;

void move_a_box(segment& seg, bool right_first) {
  auto& left = *seg.find<guarded_shelf>("left");
  auto& right = *seg.find<guarded_shelf>("right");
  auto outer = (right_first ? right : left).lock();
  auto inner = (right_first ? left : right).lock();
  shelf& from = left.unguarded();
  shelf& to = right.unguarded();
  auto& under_way = seg.find<shelf_journal>("journal")->under_way;
  from.before = from.boxes;
  crash_barrier();
  to.before = to.boxes;
  crash_barrier();
  under_way = left_bit | right_bit;
  crash_barrier();
  --from.boxes;
  crash_barrier();
  ++to.boxes;
  crash_barrier();
  under_way = 0;
}

scenario shelves(unsigned left_clears, unsigned right_clears, bool right_first) {
  scenario made;
  made.name = "shelves";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded_shelf>("left", "left"));
    static_cast<void>(seg.find_or_construct<guarded_shelf>("right", "right"));
    static_cast<void>(seg.find_or_construct<shelf_journal>("journal"));
  };
  made.repairs = [=](segment& seg) {
    auto& journal = *seg.find<shelf_journal>("journal");
    const auto undo = [&journal](unsigned bit, unsigned clears) {
      return [&journal, bit, clears](shelf& of, const owner_death&) {
        if ((journal.under_way & bit) == 0) return repaired;
        of.boxes = of.before;
        crash_barrier();
        journal.under_way = journal.under_way & ~clears;
        return repaired;
      };
    };
    return all_of(on_owner_death<shelf>(seg, "left", undo(left_bit, left_clears)),
                  on_owner_death<shelf>(seg, "right", undo(right_bit, right_clears)));
  };
  made.victim = [=](segment& seg) { move_a_box(seg, right_first); };
  made.invariant = [](segment& seg) {
    const long boxes = seg.find<guarded_shelf>("left")->lock()->boxes +
                       seg.find<guarded_shelf>("right")->lock()->boxes;
    return boxes == 10 ? std::string() : std::to_string(boxes) + " boxes, not 10";
  };
  return made;
}

TEST(two_locks, a_repair_that_is_wrong_only_as_the_first_one_is_found_whichever_it_is) {
  constexpr unsigned both = left_bit | right_bit;
  for (const bool right_first : {false, true}) {
    for (const scenario& each :
         {shelves(both, right_bit, right_first), shelves(left_bit, both, right_first)}) {
      const report found = explore(each);
      EXPECT_GT(found.failed(), 0U) << found;
      EXPECT_TRUE(found.cut.empty()) << found;
      for (const crash_state& state : found.states) {
        if (state.result == verdict::ok) continue;
        EXPECT_EQ(state.result, verdict::invariant_violated) << found;
        EXPECT_TRUE(state.confirmed) << found;
      }
    }
  }
}

TEST(two_locks, repairs_that_are_right_in_every_order_survive) {
  for (const bool right_first : {false, true})
    EXPECT_SURVIVES_KILLS(shelves(left_bit, right_bit, right_first));
}

TEST(two_locks, the_report_names_the_mutex_that_was_recovered_first) {
  const report found = explore(shelves(left_bit, left_bit | right_bit, false));
  EXPECT_THAT(found.summary(), HasSubstr("then an heir, which recovered \"right\" first, was"));
}

TEST(two_locks, orders_that_an_option_leaves_out_are_named) {
  explore_options how;
  how.max_alone = 0;
  const report found = explore(shelves(left_bit, right_bit, false), how);
  EXPECT_THAT(found.cut, Contains(HasSubstr("max_alone")));
}

/// A shelf whose label says how many boxes are on it. Whoever moves a box holds the mutex of the
/// room, too; who only looks at the shelf acquires its mutex alone.
struct labelled_shelf {
  long boxes = 5;
  long label = 5;
};
struct room {
  long visits = 0;
};
using guarded_labelled_shelf = guarded<labelled_shelf>;
using guarded_room = guarded<room>;

std::string label_is_right(const labelled_shelf& of) {
  return of.boxes == of.label
             ? std::string()
             : std::to_string(of.boxes) + " boxes, and the label says " + std::to_string(of.label);
}

/// Whose repair writes the label.
enum class label_by { shelf, room };

scenario labelled_shelf_in_a_room(label_by whom) {
  scenario made;
  made.name = "labelled shelf in a room";
  made.make = [](segment& seg) {
    static_cast<void>(seg.find_or_construct<guarded_labelled_shelf>("shelf", "shelf"));
    static_cast<void>(seg.find_or_construct<guarded_room>("room", "room"));
  };
  made.repairs = [=](segment& seg) {
    auto& shelf = *seg.find<guarded_labelled_shelf>("shelf");
    return all_of(on_owner_death<labelled_shelf>(seg, "shelf",
                                                 [=](labelled_shelf& of, const owner_death&) {
                                                   if (whom == label_by::shelf) of.label = of.boxes;
                                                   return repaired;
                                                 }),
                  on_owner_death<room>(seg, "room", [=, &shelf](room&, const owner_death&) {
                    labelled_shelf& of = shelf.unguarded();
                    if (whom == label_by::room) of.label = of.boxes;
                    return repaired;
                  }));
  };
  made.victim = [](segment& seg) {
    auto in = seg.find<guarded_room>("room")->lock();
    auto at = seg.find<guarded_labelled_shelf>("shelf")->lock();
    at->boxes = 6;
    crash_barrier();
    at->label = 6;
  };
  made.invariant = [](segment& seg) {
    const auto in = seg.find<guarded_room>("room")->lock();
    return label_is_right(*seg.find<guarded_labelled_shelf>("shelf")->lock());
  };
  made.living_client = [](segment& seg, const robust_mutex& free) {
    auto& shelf = *seg.find<guarded_labelled_shelf>("shelf");
    return &free == &shelf.mutex() ? label_is_right(*shelf.lock()) : std::string();
  };
  return made;
}

TEST(two_locks, a_shelf_that_is_wrong_until_the_room_is_repaired_is_seen_by_a_living_client) {
  scenario what = labelled_shelf_in_a_room(label_by::room);
  const report found = explore(what);
  EXPECT_GT(found.failed(), 0U) << found;
  for (const crash_state& each : found.states) {
    if (each.result == verdict::ok) continue;
    EXPECT_EQ(each.result, verdict::invariant_violated) << found;
    EXPECT_THAT(each.what, HasSubstr("a living client that acquires mutex \"shelf\" while "
                                     "\"room\" is not recovered: 6 boxes, and the label says 5"));
    EXPECT_TRUE(each.confirmed) << found;
  }
  // Whoever comes after the last repair does not see it.
  what.living_client = nullptr;
  EXPECT_SURVIVES_KILLS(what);
}

TEST(two_locks, a_shelf_that_is_right_after_its_own_repair_survives_a_living_client) {
  EXPECT_SURVIVES_KILLS(labelled_shelf_in_a_room(label_by::shelf));
}

TEST(two_locks, a_living_client_that_recovers_a_mutex_itself_is_told) {
  scenario what = labelled_shelf_in_a_room(label_by::shelf);
  what.living_client = [invariant = what.invariant](segment& seg, const robust_mutex&) {
    return invariant(seg);
  };
  EXPECT_THAT(explore(what).summary(), HasSubstr("acquired another one, or kept it"));
}

}  // namespace
}  // namespace outlive::killtest::testing
