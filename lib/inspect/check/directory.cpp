// Blocks, the lists of freed ones, and the index.
#include <algorithm>
#include <atomic>
#include <system_error>
#include <vector>

#include "directory/blocks.hpp"
#include "directory/index.hpp"
#include "inspect/check/problems.hpp"
#include "inspect/directory_rest.hpp"
#include "inspect/view_locks.hpp"
#include "sys/hex.hpp"

namespace outlive::detail {

namespace {

std::string block_at(std::uint32_t line) {
  return "block at line " + std::to_string(line);
}

struct lines_by_state {
  std::vector<std::uint32_t> live, freed;  // in order
  std::vector<std::string> unfinished;

  static bool has(const std::vector<std::uint32_t>& in, std::uint32_t line) {
    return std::binary_search(in.begin(), in.end(), line);
  }
};

// Of a live object. Its block may have been freed since, and have another name by now, or half of
// one: load_live_name() tries again, and knows that.
bool has_unsound_name(const mapping& map, std::uint32_t line) {
  blocks::name_copy name;
  try {
    static_cast<void>(blocks::load_live_name(map, line, name));
    return false;
  } catch (const std::system_error&) {
    return true;
  }
}

// `of_blocks`: what is a problem only if nobody worked on the directory meanwhile.
void check_block(problem_list& found, problem_list& of_blocks, const mapping& map,
                 const seen_block& block) {
  const block_header& header = blocks::at(map, block.line);
  found.zero(&header.reserved, sizeof header.reserved, block_at(block.line), "reserved bytes");
  if (block.state == block_state::freed) return;
  if (!block.name_is_sound) {
    const bool is_live = block.state == block_state::live;
    if (is_live && !has_unsound_name(map, block.line)) return;
    return (is_live ? found : of_blocks)
        .add(block_at(block.line), "a name or a type that does not fit its check",
             "an object's name of 1 to 255 bytes");
  }
  if (__atomic_load_n(&header.name_length, __ATOMIC_RELAXED) == 0)
    found.add(block_at(block.line), "an empty name", "1 to 255 bytes");
  const std::uint32_t type = __atomic_load_n(&header.type_name, __ATOMIC_RELAXED);
  if (!is_name(map, type, name_kind::object_type))
    found.add(block_at(block.line), "type " + std::to_string(type), "one of the names");
}

void check_slots(problem_list& found, const mapping& map, const lines_by_state& blocks) {
  std::uint64_t used = 0;
  for (std::uint64_t at = 0; at < map.layout().index_slots; ++at) {
    const auto slot = index::read_slot(map, at);
    const std::string object = "slot " + std::to_string(at) + " of the directory's index";
    if (slot.what == index::slot_kind::damaged)
      found.add(object, hex(map.index()[at].load(std::memory_order_relaxed)),
                "a slot whose check fits");
    if (slot.what != index::slot_kind::used) continue;
    ++used;
    if (!lines_by_state::has(blocks.live, slot.line))
      found.add(object, "line " + std::to_string(slot.line), "the line of a live object");
  }
  if (used != blocks.live.size())
    found.add("directory", std::to_string(used) + " slots in use",
              "one for each of " + std::to_string(blocks.live.size()) + " objects");
}

void check_names_lead_to_blocks(problem_list& found, const mapping& map,
                                const lines_by_state& blocks) {
  blocks::name_copy name;
  for (const std::uint32_t line : blocks.live) {
    try {
      if (!blocks::load_live_name(map, line, name) ||
          index::leads_to(map, index::key(name.text()), line))
        continue;
      found.add(block_at(line), "no slot that leads to it",
                "one, for its name \"" + std::string(name.text()) + '"');
    } catch (const std::system_error&) {
      // A slot on the way, or the name, is damaged: reported where it was found.
    }
  }
}

// Walks one list of freed blocks: from kind to kind, and through each kind. Returns: false if it
// found and reported a problem.
bool check_list(problem_list& found, const mapping& map, const lines_by_state& blocks,
                std::size_t list, std::size_t& listed) {
  const auto load = [](const std::uint32_t& link) {
    return __atomic_load_n(&link, __ATOMIC_RELAXED);
  };
  const std::string object = "list " + std::to_string(list) + " of freed blocks";
  std::uint32_t first = load(map.header().directory_counts.freed[list]);
  while (first != 0 && listed <= blocks.freed.size()) {
    for (std::uint32_t next = first; next != 0 && listed <= blocks.freed.size(); ++listed) {
      const std::uint32_t line = next - 1;
      if (!lines_by_state::has(blocks.freed, line))
        return found.add(object, "line " + std::to_string(line), "a freed block"), false;
      const block_header& block = blocks::at(map, line);
      const block_header& of_kind = blocks::at(map, first - 1);
      if (block.type % free_lists != list)
        return found.add(object, block_at(line), "a block of another type"), false;
      if (block.type != of_kind.type || block.size != of_kind.size ||
          block.lines != of_kind.lines) {
        return found.add(object, block_at(line),
                         "a block like the first of its kind, " + block_at(first - 1)),
               false;
      }
      next = load(block.next_freed);
    }
    first = load(blocks::at(map, first - 1).name_check);
  }
  return true;
}

void check_freed(problem_list& found, const mapping& map, const lines_by_state& blocks) {
  std::size_t listed = 0;
  for (std::size_t list = 0; list < free_lists; ++list) {
    if (!check_list(found, map, blocks, list, listed)) return;
  }
  if (listed != blocks.freed.size()) {
    found.add("directory", std::to_string(listed) + " freed blocks on its lists",
              "each of " + std::to_string(blocks.freed.size()) + " once");
  }
}

}  // namespace

void check_directory(problem_list& found, const mapping& map) {
  // Counts and index fit the blocks only while no thread works on them.
  const directory_rest before(map);
  const directory_state& counts = map.header().directory_counts;
  found.at_most(counts.stale.load(std::memory_order_relaxed), 1, "directory",
                "mark that it must be counted");
  found.at_most(counts.live.load(std::memory_order_relaxed), map.constants().directory_capacity,
                "directory", "objects");
  lines_by_state blocks;
  problem_list of_blocks;
  const walk_end walked = walk_blocks(map, [&](const seen_block& block) {
    check_block(found, of_blocks, map, block);
    if (block.state == block_state::live)
      blocks.live.push_back(block.line);
    else if (block.state == block_state::freed)
      blocks.freed.push_back(block.line);
    else
      of_blocks.add(block_at(block.line), "an object that is being made or ended",
                    "that nobody does so: the directory's mutex is free");
  });
  if (!walked.end_is_sound) {
    const std::uint64_t end = counts.end.load(std::memory_order_relaxed);
    return found.add("directory", "the end of its blocks " + hex(end),
                     "a line within the objects, and its complement above it");
  }
  if (walked.damaged_lines != 0) {
    return found.add(block_at(walked.first_damaged),
                     std::to_string(walked.damaged_lines) + " lines that are no block",
                     "a block whose check fits");
  }
  const std::uint32_t live = counts.live.load(std::memory_order_relaxed);
  if (live != blocks.live.size()) {
    of_blocks.add("directory", "a count of " + std::to_string(live) + " objects",
                  std::to_string(blocks.live.size()) + ", as there are");
  }
  check_slots(of_blocks, map, blocks);
  check_names_lead_to_blocks(of_blocks, map, blocks);
  check_freed(of_blocks, map, blocks);
  if (!before.lasts_until(directory_rest(map))) return;
  for (segment_problem& each : of_blocks.all())
    found.add(std::move(each.object), std::move(each.found), std::move(each.expected));
}

}  // namespace outlive::detail
