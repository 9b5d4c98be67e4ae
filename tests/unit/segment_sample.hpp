// A segment with a few of everything, and the question what a user of a damaged copy of it meets.
//
// For each step there are two good answers: an error of outlive, or the right thing. To lose an
// object, to show one that is not there, to hand memory out twice, or to run another class's repair
// is neither.
#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <outlive/death_log.hpp>
#include <outlive/guarded.hpp>
#include <outlive/recover.hpp>
#include <outlive/repair.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

#include "format/hash.hpp"
#include "format/layout.hpp"
#include "format/lock_state.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {

struct sample_pair {
  long a = 500;
  long b = 500;
};
using sample_array = std::array<unsigned char, 100>;
using sample_guarded = guarded<sample_pair>;

/// What examine() says: `wrong` is empty, or what must not be.
struct sample_verdict {
  bool refused = false;
  std::string wrong;
};

class sample_segment {
 public:
  sample_segment() {
    {
      segment made = segment::create(name_, few_of_everything());
      fill(made);
    }
    whole_ = segment_file(name_.path()).read();
  }

  const std::vector<unsigned char>& bytes() const { return whole_; }
  const detail::region_layout& layout() const { return layout_; }
  std::size_t name_count() const { return name_count_; }
  /// Where the blocks end, in the file.
  std::size_t objects_end() const { return end_; }

  /// Uses the segment of this name, which is a damaged copy, in every way.
  sample_verdict examine(const std::string& copy) const {
    visit on{*this, {}, {}};
    on.step("open", [&] { on.seg.emplace_back(segment::open(copy)); });
    if (on.seg.empty()) return on.verdict;
    look_at_objects(on);
    use_locks(on);
    make_and_remove(on);
    look_at_objects(on);
    on.step("death_log", [&] { (void)death_log(on.seg[0]); });
    on.step("recover", [&] { (void)recover(on.seg[0]); });
    return on.verdict;
  }

 private:
  struct visit {
    const sample_segment& sample;
    std::vector<segment> seg;
    sample_verdict verdict;
    bool destroyed_answer = false;

    template <class Act>
    void step(const std::string& what, Act act) {
      try {
        act();
      } catch (const std::system_error& error) {
        if (error.code().category() != error_category()) blame(what + " throws " + error.what());
        if (std::string_view(error.what()).find(" expected ") == std::string_view::npos)
          blame(what + " has no good message: " + error.what());
        verdict.refused = true;
      } catch (const std::exception& error) {
        blame(what + " throws " + error.what());
      }
    }
    void blame(const std::string& what) {
      verdict.wrong += (verdict.wrong.empty() ? "" : "; ") + what;
    }
    void require(bool good, const std::string& what) {
      if (!good) blame(what);
    }
    void note(const std::error_code& error, const std::string& what) {
      if (!error) return;
      require(error.category() == error_category(), what + ": " + error.message());
      verdict.refused = true;
    }
  };

  static sample_array pattern() {
    sample_array bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(7 * i + 3);
    return bytes;
  }
  static std::string long_name() {
    std::string name(255, 'l');  // gcc 12 takes the sum of two strings for an overrun
    name.back() = '!';
    return name;
  }

  /// Names of the same bucket of the index, so that look-ups of the later ones pass the earlier
  /// ones' slots.
  std::array<std::string, 3> neighbours() const {
    std::array<std::string, 3> found;
    std::size_t count = 0;
    for (int i = 0; count < found.size(); ++i) {
      const std::string name = "n" + std::to_string(i);
      if ((detail::hash_text(name) & (layout_.index_slots - 1)) == 5) found[count++] = name;
    }
    return found;
  }

  void fill(segment& in) {
    const segment_file file(name_.path());
    layout_ = detail::region_layout::of(file.constants());
    in.find_or_construct<int>("answer", 42);
    const auto [first, second, third] = neighbours();
    in.find_or_construct<int>(first, 1);
    in.find_or_construct<int>(second, 2);
    in.find_or_construct<int>(third, 3);
    in.find_or_construct<sample_array>("seventeen bytes..", pattern());
    in.find_or_construct<sample_array>("removed array", pattern());
    in.find_or_construct<long>(long_name(), 255L);
    leave_unrepaired(in, in.find_or_construct<sample_guarded>("account", "alpha"));
    leave_unrepaired(in, in.find_or_construct<robust_mutex>("shelf", "beta"));
    // A removed slot in the midst of a run, and freed blocks on two lists.
    in.destroy<int>(first);
    in.destroy<sample_array>("removed array");
    objects_ = {
        {"answer", typeid(int).name()},        {second, typeid(int).name()},
        {third, typeid(int).name()},           {"seventeen bytes..", typeid(sample_array).name()},
        {long_name(), typeid(long).name()},    {"account", typeid(sample_guarded).name()},
        {"shelf", typeid(robust_mutex).name()}};
    const auto& header = *reinterpret_cast<const detail::segment_header*>(in.base());
    name_count_ = header.name_count.load() & 0xffff;  // its complement stands above
    end_ = layout_.objects + (header.directory_counts.end.load() & 0xffffffff) * detail::cache_line;
    second_ = second;
    third_ = third;
    absent_ = {first, "removed array", "never there"};
  }

  /// As if its owner had died, and a process without a repair had met it: the next lock() runs the
  /// repair of its class.
  template <class Lock>
  static void leave_unrepaired(const segment&, Lock& lock) {
    reinterpret_cast<detail::lock_bytes&>(lock).state.store(
        detail::lock_state(0, detail::lock_condition::unrepaired, 0, {}).word());
  }

  template <class T, class Good>
  static void look_at(visit& on, const std::string& name, Good good) {
    on.step("find of " + name.substr(0, 20), [&] {
      const T* const found = on.seg[0].find<T>(name);
      on.require(found != nullptr, name.substr(0, 20) + " is lost");
      on.require(found == nullptr || good(*found), name.substr(0, 20) + " has another value");
    });
  }

  void look_at_objects(visit& on) const {
    if (!on.destroyed_answer) look_at<int>(on, "answer", [](int v) { return v == 42; });
    look_at<int>(on, second_, [](int v) { return v == 2; });
    look_at<int>(on, third_, [](int v) { return v == 3; });
    look_at<sample_array>(on, "seventeen bytes..",
                          [](const sample_array& v) { return v == pattern(); });
    look_at<long>(on, long_name(), [](long v) { return v == 255; });
    for (const std::string& name : absent_) {
      on.step("find of what is absent",
              [&] { on.require(on.seg[0].find<int>(name) == nullptr, name + " is invented"); });
    }
    on.step("for_each", [&] {
      std::map<std::string, std::string> seen;
      std::size_t count = 0;
      on.seg[0].for_each([&](const segment::object_info& each) {
        // left by make_and_remove(), where it was refused
        if (each.name == "new" || each.name == "new kind") return;
        seen[std::string(each.name)] = each.type;
        ++count;
      });
      auto expected = objects_;
      if (on.destroyed_answer) expected.erase("answer");
      on.require(count == seen.size(), "for_each shows an object twice");
      for (const auto& [name, type] : expected) {
        on.require(seen.count(name) == 1, "for_each leaves out " + name.substr(0, 20));
        // A type's name can be unknown where the table of names is damaged, but never another's.
        if (seen.count(name) == 1)
          on.require(seen[name] == type || seen[name] == "unknown",
                     name.substr(0, 20) + " has another type");
        if (seen[name] == "unknown") on.verdict.refused = true;
      }
      on.require(seen.size() == expected.size(), "for_each shows something more");
    });
  }

  void use_locks(visit& on) const {
    int alpha = 0;
    int beta = 0;
    repair_registration alphas;
    repair_registration betas;
    on.step("registration", [&] {
      alphas = on_owner_death<sample_pair>(
          on.seg[0], "alpha", [&](sample_pair& pair, const owner_death&) {
            on.require(pair.a == 500 && pair.b == 500, "the repair got another pair");
            ++alpha;
            return repaired;
          });
    });
    on.step("registration", [&] {
      betas = on_owner_death(on.seg[0], "beta", [&](const owner_death&) {
        ++beta;
        return repaired;
      });
    });
    on.step("lock of account", [&] {
      auto* const account = on.seg[0].find<sample_guarded>("account");
      if (account == nullptr) return on.blame("account is lost");
      lock_one(on, account->mutex(), bool{alphas}, "alpha");
      on.require(beta == 0, "the repair of another class ran");
    });
    on.step("lock of shelf", [&] {
      auto* const shelf = on.seg[0].find<robust_mutex>("shelf");
      if (shelf == nullptr) return on.blame("shelf is lost");
      const int before = alpha;
      lock_one(on, *shelf, bool{betas}, "beta");
      on.require(alpha == before, "the repair of another class ran");
    });
    on.require(alpha <= 1 && beta <= 1, "a repair ran twice");
  }

  static void lock_one(visit& on, robust_mutex& mutex, bool registered,
                       const std::string& lock_class) {
    const auto told = mutex.lock_class();
    on.require(told == lock_class || told == "unknown", "a lock is of class " + std::string(told));
    if (told == "unknown") on.verdict.refused = true;
    std::error_code error;
    mutex.lock(error);
    on.note(error, "lock of class " + lock_class);
    if (error) {
      on.require(!registered || error != errc::owner_died_unrepaired,
                 "a repair was registered, and is not found");
      return;
    }
    on.require(registered, "a lock was had without a repair");
    mutex.unlock(error);
    on.require(!error, "unlock: " + error.message());
  }

  void make_and_remove(visit& on) const {
    segment& seg = on.seg[0];
    const auto is_fresh = [&](const void* made, std::size_t size) {
      const auto* const begin = static_cast<const char*>(made);
      bool fresh = true;
      seg.for_each([&](const segment::object_info& each) {
        const auto* const at = static_cast<const char*>(each.address);
        if (each.name != "new" && each.name != "new kind" && begin < at + each.size &&
            at < begin + size)
          fresh = false;
      });
      return fresh;
    };
    on.step("making an int", [&] {
      int& made = seg.find_or_construct<int>("new", 77);
      on.require(made == 77 && seg.find<int>("new") == &made, "a new int is not found");
      on.require(is_fresh(&made, sizeof made), "memory was given out twice");
      on.require(seg.destroy<int>("new") && seg.find<int>("new") == nullptr,
                 "a new int does not go");
    });
    on.step("making another type", [&] {
      struct kind {
        double value;
      };
      kind& made = seg.find_or_construct<kind>("new kind", kind{1.5});
      on.require(seg.find<kind>("new kind") == &made, "a new kind is not found");
      on.require(is_fresh(&made, sizeof made), "memory was given out twice");
      on.require(seg.destroy<kind>("new kind"), "a new kind does not go");
    });
    on.step("finding by find_or_construct", [&] {
      on.require(seg.find_or_construct<int>(third_, 99) == 3, "an object was made a second time");
    });
    on.step("destroying", [&] {
      on.require(seg.destroy<int>("answer"), "answer is lost");
      on.destroyed_answer = true;
      on.require(seg.find<int>("answer") == nullptr, "answer does not go");
    });
  }

  test_name name_;
  std::map<std::string, std::string> objects_;  // name -> type
  std::vector<std::string> absent_;
  std::string second_;
  std::string third_;
  std::vector<unsigned char> whole_;
  detail::region_layout layout_{};
  std::size_t name_count_ = 0;
  std::size_t end_ = 0;  // of the blocks, in the file
};

}  // namespace outlive::testing
