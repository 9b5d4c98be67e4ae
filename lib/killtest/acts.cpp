#include "killtest/acts.hpp"

#include <vector>

#include <outlive/note.hpp>

#include "killtest/fault_scout.hpp"
#include "killtest/heir.hpp"

namespace outlive::killtest::detail {

void act_as_victim(const scenario& what, const explore_options& how, segment& seg, bool logged) {
  std::vector<repair_registration> registered;
  const auto set_up = [&] {
    note(seg, 0);  // takes a thread record
    if (what.repairs) registered = what.repairs(seg);
  };
  if (!how.from_first_use) set_up();
  if (logged) begin_tested();
  what.victim(seg);
}

void act_as_heir(const scenario& what, segment& seg, std::span<const std::uint64_t> mutexes) {
  note(seg, 0);
  const auto registered = what.repairs ? what.repairs(seg) : std::vector<repair_registration>();
  begin_tested();
  static_cast<void>(recover_all(seg, mutexes));
}

}  // namespace outlive::killtest::detail
