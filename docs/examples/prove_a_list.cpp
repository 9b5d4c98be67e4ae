// The list of a cache, the entry that was used last in front: what a death in the middle of a move
// leaves, and two repairs of it.
//
// A move takes an entry out of the chain and puts it in again in front. In between no entry leads
// to it. So its number is noted first, and the repair puts back what is noted. The first repair
// takes the note for a proof that the entry is out: after a death right behind the note it is in
// the list twice, and the list is a circle.
#include <iostream>
#include <string>

#include <outlive/crash_barrier.hpp>
#include <outlive/guarded.hpp>
#include <outlive/killtest/explore.hpp>

constexpr unsigned entries = 4, none = entries;

// Numbers of entries instead of pointers, which mean nothing in another process.
struct cache {
  unsigned next[entries] = {1, 2, 3, none};    // the chain from `first`: this is the truth
  unsigned before[entries] = {none, 0, 1, 2};  // the way back: made from `next`
  unsigned first = 0;
  unsigned moving = none;  // may be out of the chain
};

void use(cache& list, unsigned used) {
  if (list.first == used) return;
  const unsigned left = list.before[used], right = list.next[used];
  list.moving = used;  // evidence first
  OUTLIVE_CRASH_BARRIER();
  list.next[left] = right;  // out
  OUTLIVE_CRASH_BARRIER();
  list.next[used] = list.first;
  OUTLIVE_CRASH_BARRIER();
  list.first = used;  // in again
  if (right != none) list.before[right] = left;
  list.before[list.next[used]] = used;
  list.before[used] = none;
  OUTLIVE_CRASH_BARRIER();
  list.moving = none;  // evidence away last
}

bool contains(const cache& list, unsigned wanted) {
  for (unsigned at = list.first; at != none; at = list.next[at]) {
    if (at == wanted) return true;
  }
  return false;
}

void put_in_front(cache& list, unsigned entry) {
  list.next[entry] = list.first;
  OUTLIVE_CRASH_BARRIER();
  list.first = entry;
  OUTLIVE_CRASH_BARRIER();
}

void make_way_back(cache& list) {
  unsigned last = none, at = list.first;
  for (unsigned steps = 0; at != none && steps < entries; ++steps) {
    list.before[at] = last;
    last = at;
    at = list.next[at];
  }
}

outlive::repair_result wrong_repair(cache& list, const outlive::owner_death&) {
  if (list.moving != none) put_in_front(list, list.moving);
  make_way_back(list);
  OUTLIVE_CRASH_BARRIER();
  list.moving = none;
  return outlive::repaired;
}

outlive::repair_result right_repair(cache& list, const outlive::owner_death&) {
  if (list.moving != none && !contains(list, list.moving)) put_in_front(list, list.moving);
  make_way_back(list);
  OUTLIVE_CRASH_BARRIER();
  list.moving = none;
  return outlive::repaired;
}

std::string what_is_wrong(const cache& list) {
  unsigned count = 0;
  for (unsigned at = list.first; at != none; at = list.next[at]) {
    if (++count > entries) return "the list is a circle";
  }
  if (count < entries) return std::to_string(entries - count) + " entries are lost";
  for (unsigned last = none, at = list.first; at != none; last = at, at = list.next[at]) {
    if (list.before[at] != last) return "no way back from entry " + std::to_string(at);
  }
  return {};
}

outlive::killtest::report prove(const char* name,
                                outlive::repair_result (*repair)(cache&,
                                                                 const outlive::owner_death&)) {
  using guarded_cache = outlive::guarded<cache>;
  outlive::killtest::scenario cache_scenario;
  cache_scenario.name = name;
  cache_scenario.make = [](outlive::segment& seg) {
    seg.find_or_construct<guarded_cache>("cache", "cache");
  };
  cache_scenario.repairs = [=](outlive::segment& seg) {
    return outlive::killtest::all_of(outlive::on_owner_death<cache>(seg, "cache", repair));
  };
  cache_scenario.victim = [](outlive::segment& seg) {
    use(*seg.find<guarded_cache>("cache")->lock(), 2);
  };
  cache_scenario.invariant = [](outlive::segment& seg) {
    return what_is_wrong(*seg.find<guarded_cache>("cache")->lock());
  };
  return outlive::killtest::explore(cache_scenario);
}

int main() {
  const auto wrong = prove("the wrong repair", &wrong_repair);
  const auto right = prove("the right repair", &right_repair);
  std::cout << wrong << '\n' << right;
  return !wrong.ok() && right.ok() ? 0 : 1;
}
