// What a random case is made of.
#include <cstddef>
#include <string>
#include <vector>

#include "fuzz/campaign.hpp"
#include "fuzz/operations.hpp"

namespace outlive::fuzz {

namespace {

// Cases that use the segment by its name: a process of the tool takes as long as several cases.
constexpr std::uint64_t one_in_named = 100;

// std::mt19937_64 is the same everywhere, the distributions of the standard library are not.
class dice {
 public:
  explicit dice(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
  bool once_in(std::uint64_t times) { return below(times) == 0; }
  template <class List>
  const auto& one_of(const List& list) {
    return list[below(std::size(list))];
  }
  std::uint64_t bits() { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

std::uint64_t hash_of(std::uint64_t seed, std::uint64_t number) {
  std::uint64_t mixed = seed * 0x9e3779b97f4a7c15 + number;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
  return mixed ^ mixed >> 31;
}

std::string random_value(dice& random, std::uint32_t size) {
  static const char* const special[] = {"0",
                                        "1",
                                        "2",
                                        "3",
                                        "0x7f",
                                        "0xff",
                                        "0x80",
                                        "0x7fff",
                                        "0xffff",
                                        "0x10000",
                                        "0x7fffffff",
                                        "0x80000000",
                                        "0xffffffff",
                                        "0x40000000",
                                        "0xc0000000",
                                        "0x3fffffff",
                                        "self",
                                        "bystander",
                                        "nobody",
                                        "0x7fffffffffffffff",
                                        "0x8000000000000000",
                                        "0xffffffffffffffff",
                                        "0xfffffffffffffffe",
                                        "64",
                                        "4096"};
  switch (random.below(4)) {
    case 0: return std::to_string(random.below(24));
    case 1: return std::to_string(size < 8 ? random.bits() >> (64 - size * 8) : random.bits());
    default: return random.one_of(special);
  }
}

// The last part of the name: fields of one kind have it in common.
std::string leaf(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return name.substr(dot == std::string::npos ? 0 : dot);
}

const field& other_field(dice& random, const field_table& fields, const std::vector<field>& group,
                         const field& like) {
  for (int i = 0; i < 20; ++i) {
    const auto& from = random.once_in(4) ? random.one_of(fields.groups()) : group;
    const field& other = random.one_of(from);
    if (other.size == like.size && other.name != like.name &&
        (i > 10 || leaf(other.name) == leaf(like.name)))
      return other;
  }
  return random.one_of(group);
}

change random_change(dice& random, const world::place& place) {
  const auto& fields = place.fields;
  const auto& group = random.one_of(fields.groups());
  const field& at = random.one_of(group);
  if (random.once_in(60)) return {"hole", at.name, {}};
  if (random.once_in(120)) {
    const std::uint64_t total = place.of.bytes().size();
    const std::uint64_t sizes[] = {0,
                                   1,
                                   319,
                                   4096,
                                   total / 2,
                                   total - 4096,
                                   total - 1,
                                   total + 1,
                                   total + 4096,
                                   random.below(2 * total)};
    return {"size", std::to_string(random.one_of(sizes)), {}};
  }
  const bool number = at.size <= 8;
  switch (random.below(number ? 10 : 6)) {
    case 0: return {"copy", at.name, other_field(random, fields, group, at).name};
    case 1: return {"swap", at.name, other_field(random, fields, group, at).name};
    case 2: return {"tear", at.name, other_field(random, fields, group, at).name};
    case 3:
      return {"fill", at.name,
              random.once_in(2)   ? "0"
              : random.once_in(2) ? "0xff"
                                  : std::to_string(random.below(256))};
    case 4: return {"flip", at.name, std::to_string(random.below(std::uint64_t{at.size} * 8))};
    case 5: {
      static const char* const steps[] = {"1",   "-1",   "2",       "64",
                                          "-64", "4096", "0x10000", "0x100000000"};
      if (number) return {"add", at.name, random.one_of(steps)};
      return {"flip", at.name, std::to_string(random.below(std::uint64_t{at.size} * 8))};
    }
    case 6: return {"flip", at.name, std::to_string(random.below(std::uint64_t{at.size} * 8))};
    default: return {"set", at.name, random_value(random, at.size)};
  }
}

std::size_t how_many_changes(dice& random) {
  switch (random.below(20)) {
    case 0: return 6 + random.below(8);
    case 1:
    case 2:
    case 3: return 3 + random.below(3);
    case 4:
    case 5:
    case 6:
    case 7:
    case 8: return 2;
    default: return 1;
  }
}

}  // namespace

fuzz_case make_case(const world& with, std::uint64_t seed, std::uint64_t number) {
  dice random(hash_of(seed, number));
  fuzz_case made;
  made.scene = random.once_in(5) ? "fresh" : random.once_in(5) ? "crowded" : "deaths";
  const world::place& place = with.at(made.scene);
  bool header = false;
  for (std::size_t i = how_many_changes(random); i > 0; --i) {
    made.changes.push_back(random_change(random, place));
    header = header || made.changes.back().field.starts_with("header.");
  }
  if (header && !random.once_in(4)) made.changes.push_back({"seal", {}, {}});
  if (!random.once_in(5)) made.acts.emplace_back("register");
  for (std::size_t i = 5 + random.below(12); i > 0; --i)
    made.acts.push_back(random.one_of(all_operations()));
  // Last, so that the seeds and numbers of what was found before still tell the same of all else.
  if (random.once_in(one_in_named)) {
    const auto at = static_cast<std::ptrdiff_t>(random.below(made.acts.size() + 1));
    made.acts.insert(made.acts.begin() + at, random.one_of(operations_by_name()));
  }
  return made;
}

}  // namespace outlive::fuzz
