#include <outlive/killtest/explore.hpp>

#include "killtest/explorer.hpp"

namespace outlive::killtest {

report explore(const scenario& what, const explore_options& how) {
  segment seg = segment::anonymous(what.options);
  if (what.make) what.make(seg);
  return detail::explorer(what, how, seg).run();
}

}  // namespace outlive::killtest
