// repairs_plugin: the repairs of a warehouse as a library for the tool, `outlive recover warehouse
// --repairs ./repairs_plugin.so`.
//
// The warehouse's own programs would be built from the same functions; here they stand alone.
#include <outlive/repairs_plugin.hpp>

namespace warehouse {

struct shelf {
  int boxes = 0;
  int counted = 0;  // invariant: as many as boxes
};

namespace {

// After a death in the middle of a change: count again.
outlive::repair_result count(shelf& x, const outlive::owner_death&) {
  x.counted = x.boxes;
  return outlive::repaired;
}

// For `outlive reset`, if even counting has failed: an empty shelf.
outlive::repair_result clear(shelf& x, const outlive::owner_death&) {
  x = {};
  return outlive::repaired;
}

}  // namespace

}  // namespace warehouse

void outlive_register_repairs(outlive::repairs_plugin& plugin) {
  plugin.repairs.push_back(
      outlive::on_owner_death<warehouse::shelf>(plugin.where, "shelf", warehouse::count));
  plugin.on_reset<warehouse::shelf>("shelf", warehouse::clear);
}
