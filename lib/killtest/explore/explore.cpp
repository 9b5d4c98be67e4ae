#include <outlive/killtest/explore.hpp>

#include "killtest/explore/explorer.hpp"

namespace outlive::killtest {

report explore(const scenario& what, const explore_options& how, code_build built) {
  segment seg = segment::anonymous(what.options);
  if (what.make) what.make(seg);
  report found = detail::explorer(what, how, seg).run();
  if (built == code_build::not_optimised)
    found.warnings.push_back("built without -O: a store that the optimiser moves is not seen");
  return found;
}

}  // namespace outlive::killtest
