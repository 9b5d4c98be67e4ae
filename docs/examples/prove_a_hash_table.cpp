// A hash table that grows, and shrinks, while its owner may die: two forms of its resize().
//
// There are two arrays. resize() copies the entries into the one that is not in use, and one store
// makes that the table. Whatever the owner's death leaves is right: explore() finds no fault in
// either form. But the first form believes that the other array is empty, as each resize() leaves
// it. After a death it is not, and a key that was erased since comes back with the next resize().
// Only a sequence of operations shows that.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <outlive/crash_barrier.hpp>
#include <outlive/guarded.hpp>
#include <outlive/killtest/explore.hpp>
#include <outlive/killtest/sequences.hpp>

namespace kit = outlive::killtest;

struct entry {
  int key = 0;  // 0: free, and no key lies behind it; erased: another key may lie behind it
  int value = 0;
};
constexpr int erased = -1;

struct array {
  unsigned size = 4;
  std::array<entry, 8> entries{};
};

struct table {
  std::array<array, 2> arrays{};
  unsigned in_use = 0;
  unsigned count = 0;  // of the keys; the repair counts them again
};
using guarded_table = outlive::guarded<table>;

entry* find(array& in, int key) {
  for (unsigned i = 0; i < in.size; ++i) {
    entry& at = in.entries[(static_cast<unsigned>(key) + i) % in.size];
    if (at.key == key) return &at;
    if (at.key == 0) break;
  }
  return nullptr;
}

// Returns: whether the key is new. The key comes last, and makes the entry count.
bool put(array& in, int key, int value) {
  if (entry* const found = find(in, key)) return found->value = value, false;
  for (unsigned i = 0; i < in.size; ++i) {
    entry& at = in.entries[(static_cast<unsigned>(key) + i) % in.size];
    if (at.key > 0) continue;
    at.value = value;
    OUTLIVE_CRASH_BARRIER();
    at.key = key;
    return true;
  }
  return false;
}

void put(table& in, int key, int value) {
  if (put(in.arrays[in.in_use], key, value)) ++in.count;
}

void erase(table& in, int key) {
  entry* const found = find(in.arrays[in.in_use], key);
  if (found == nullptr) return;
  found->key = erased;
  --in.count;
}

void resize(table& in, unsigned size, bool believes_it_empty) {
  array& from = in.arrays[in.in_use];
  array& to = in.arrays[1 - in.in_use];
  if (!believes_it_empty) to.entries.fill({});
  to.size = size;
  OUTLIVE_CRASH_BARRIER();
  for (const entry& each : from.entries) {
    if (each.key > 0) put(to, each.key, each.value);
  }
  OUTLIVE_CRASH_BARRIER();
  in.in_use = 1 - in.in_use;  // one store: that is the table now
  OUTLIVE_CRASH_BARRIER();
  if (believes_it_empty) from.entries.fill({});
}

unsigned keys_of(const table& in) {
  const array& used = in.arrays[in.in_use];
  return static_cast<unsigned>(std::count_if(used.entries.begin(), used.entries.end(),
                                             [](const entry& each) { return each.key > 0; }));
}

outlive::repair_result count_again(table& in, const outlive::owner_death&) {
  in.count = keys_of(in);
  return outlive::repaired;
}

std::vector<outlive::repair_registration> repairs(outlive::segment& seg) {
  return kit::all_of(outlive::on_owner_death<table>(seg, "table", count_again));
}

// One death at each store of a resize().
kit::report prove(const char* name, bool believes_it_empty) {
  kit::scenario growth;
  growth.name = name;
  growth.make = [](outlive::segment& seg) {
    auto& made = seg.find_or_construct<guarded_table>("table", "table");
    for (int key = 1; key <= 4; ++key) put(*made.lock(), key, 10 * key);
  };
  growth.repairs = repairs;
  growth.victim = [=](outlive::segment& seg) {
    resize(*seg.find<guarded_table>("table")->lock(), 8, believes_it_empty);
  };
  growth.invariant = [](outlive::segment& seg) -> std::string {
    const auto held = seg.find<guarded_table>("table")->lock();
    if (held->count != keys_of(*held)) return "the count is wrong";
    for (int key = 1; key <= 4; ++key) {
      const entry* const found = find(held->arrays[held->in_use], key);
      if (found == nullptr || found->value != 10 * key) return std::to_string(key) + " is lost";
    }
    return {};
  };
  return kit::explore(growth);
}

using keys_and_values = std::map<int, int>;

std::string listed(unsigned count, const keys_and_values& all) {
  std::string text = std::to_string(count) + " keys:";
  for (const auto& [key, value] : all)
    text += ' ' + std::to_string(key) + '=' + std::to_string(value);
  return text;
}

int number(std::int64_t value) {
  return static_cast<int>(value);
}

// Random operations with deaths among them, beside a std::map that nobody kills.
kit::sequence_report try_sequences(const char* name, bool believes_it_empty,
                                   std::size_t sequences) {
  using arguments = kit::operation_arguments;
  kit::model_test<keys_and_values> test;
  test.name = name;
  test.make = [](outlive::segment& seg) { seg.find_or_construct<guarded_table>("table", "table"); };
  test.repairs = repairs;
  test.operations = {
      {"put",
       {{1, 3}, {0, 9}},
       [](outlive::segment& seg, const arguments& with) {
         put(*seg.find<guarded_table>("table")->lock(), number(with[0]), number(with[1]));
       },
       [](keys_and_values& all, const arguments& with) { all[number(with[0])] = number(with[1]); }},
      {"erase",
       {{1, 3}},
       [](outlive::segment& seg, const arguments& with) {
         erase(*seg.find<guarded_table>("table")->lock(), number(with[0]));
       },
       [](keys_and_values& all, const arguments& with) { all.erase(number(with[0])); }},
      {"resize",
       {{4, 8}},
       [=](outlive::segment& seg, const arguments& with) {
         resize(*seg.find<guarded_table>("table")->lock(), static_cast<unsigned>(with[0]),
                believes_it_empty);
       },
       [](keys_and_values&, const arguments&) {}},  // the map has no such thing
  };
  test.observe = [](outlive::segment& seg) {
    const auto held = seg.find<guarded_table>("table")->lock();
    keys_and_values found;
    for (int key = 1; key <= 3; ++key) {
      if (const entry* const at = find(held->arrays[held->in_use], key)) found[key] = at->value;
    }
    return listed(held->count, found);
  };
  test.expected = [](const keys_and_values& all) {
    return listed(static_cast<unsigned>(all.size()), all);
  };
  kit::sequence_options how;
  how.sequences = sequences;
  how.seed = 7;  // the same ones in each run
  how.length = 16;
  how.deaths = 0.3;
  how.budget = {};  // all of them, however slow the machine is
  return kit::run_sequences(test, how);
}

int main() {
  const auto wrong = prove("the wrong resize", true);
  const auto right = prove("the right resize", false);
  const auto wrong_later = try_sequences("the wrong resize", true, 2000);  // one in 150 finds it
  const auto right_later = try_sequences("the right resize", false, 60);
  std::cout << wrong << '\n' << right << '\n' << wrong_later << '\n' << right_later;
  return wrong.ok() && right.ok() && !wrong_later.ok() && right_later.ok() ? 0 : 1;
}
