#include "records/attachment_tree.hpp"

#include <cstdint>

#include "format/hash.hpp"
#include "records/thread_slot.hpp"

namespace outlive::detail {

namespace {

std::uint64_t place_of(const attachment& node) noexcept {
  return reinterpret_cast<std::uint64_t>(node.map->base());
}

// No node has a higher one than the node above it.
std::uint64_t level_of(const attachment& node) noexcept {
  return mix(place_of(node), 0);
}

}  // namespace

attachment* attachment_tree::find(const void* address) const noexcept {
  const auto place = reinterpret_cast<std::uint64_t>(address);
  attachment* node = root_;
  while (node != nullptr && !node->map->contains(address))
    node = place < place_of(*node) ? node->below : node->above;
  return node;
}

void attachment_tree::insert(attachment& node) noexcept {
  const std::uint64_t place = place_of(node);
  attachment** link = &root_;
  while (*link != nullptr && level_of(**link) >= level_of(node))
    link = place < place_of(**link) ? &(*link)->below : &(*link)->above;
  // The rest of the tree from here on goes to both sides of it.
  attachment* rest = *link;
  *link = &node;
  attachment** below = &node.below;
  attachment** above = &node.above;
  while (rest != nullptr) {
    if (place_of(*rest) < place) {
      *below = rest;
      below = &rest->above;
      rest = rest->above;
    } else {
      *above = rest;
      above = &rest->below;
      rest = rest->below;
    }
  }
  *below = *above = nullptr;
}

void attachment_tree::erase(const attachment& node) noexcept {
  attachment** link = &root_;
  while (*link != &node)
    link = place_of(node) < place_of(**link) ? &(*link)->below : &(*link)->above;
  // What was below and above it comes together in its place.
  attachment* below = node.below;
  attachment* above = node.above;
  while (below != nullptr && above != nullptr) {
    if (level_of(*below) >= level_of(*above)) {
      *link = below;
      link = &below->above;
      below = below->above;
    } else {
      *link = above;
      link = &above->below;
      above = above->below;
    }
  }
  *link = below != nullptr ? below : above;
}

}  // namespace outlive::detail
