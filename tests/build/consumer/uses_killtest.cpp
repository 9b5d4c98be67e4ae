// A program that uses liboutlive-killtest.
#include <outlive/killtest/explore.hpp>
#include <outlive/outlive.hpp>

#include <atomic>
#include <iostream>

namespace {

struct pair {
  long a = 0;
  long b = 0;
};

}  // namespace

int main() {
  using outlive::guarded;
  outlive::killtest::scenario both;
  both.name = "both";
  both.make = [](outlive::segment& seg) { seg.find_or_construct<guarded<pair>>("pair", "pair"); };
  both.repairs = [](outlive::segment& seg) {
    std::vector<outlive::repair_registration> all;
    all.push_back(
        outlive::on_owner_death<pair>(seg, "pair", [](pair& x, const outlive::owner_death&) {
          x.b = x.a;
          return outlive::repaired;
        }));
    return all;
  };
  both.victim = [](outlive::segment& seg) {
    auto x = seg.find<guarded<pair>>("pair")->lock();
    x->a += 1;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    x->b += 1;
  };
  both.invariant = [](outlive::segment& seg) {
    auto x = seg.find<guarded<pair>>("pair")->lock();
    return std::string(x->a == x->b ? "" : "a and b differ");
  };
  const auto found = outlive::killtest::explore(both);
  std::cout << found.summary() << '\n';
  return found.ok() ? 0 : 1;
}
