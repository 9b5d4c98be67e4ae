// Libraries with repairs that the tool must refuse, or that fail: -DFAILS, -DTHROWS, -DNO_FUNCTION,
// -DOTHER_VERSION.
#if defined(NO_FUNCTION) || defined(OTHER_VERSION)
extern "C" {
extern const unsigned outlive_repairs_version;
#ifdef OTHER_VERSION
const unsigned outlive_repairs_version = 4711;
#else
const unsigned outlive_repairs_version = 1;
#endif
}
#else
#include <stdexcept>

#include <outlive/repairs_plugin.hpp>

namespace warehouse {
struct shelf {
  int boxes = 0;
  int counted = 0;
};
}  // namespace warehouse

void outlive_register_repairs(outlive::repairs_plugin& plugin) {
#ifdef THROWS
  plugin.repairs.clear();
  throw std::runtime_error("no warehouse today");
#else
  const auto fail = [](warehouse::shelf&, const outlive::owner_death&) { return outlive::failed; };
  plugin.repairs.push_back(outlive::on_owner_death<warehouse::shelf>(plugin.where, "shelf", fail));
  plugin.on_reset<warehouse::shelf>("shelf", fail);
#endif
}
#endif
