#include <outlive/segment_view.hpp>

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "directory/directory.hpp"
#include "directory/names.hpp"
#include "error/failure.hpp"
#include "inspect/view_companions.hpp"
#include "inspect/view_locks.hpp"
#include "inspect/view_threads.hpp"
#include "mapping/mapping.hpp"
#include "mapping/segment_name.hpp"
#include "repair/death_log.hpp"
#include "segment/header.hpp"
#include "segment/named_file.hpp"
#include "segment/segment_access.hpp"
#include "segment/segment_file.hpp"
#include "sys/shared_memory.hpp"
#include "sys/symbols.hpp"

namespace outlive {

using namespace detail;

namespace {

// A mapping of the view's own, which is in no table: a mutex in it belongs to no segment of this
// process, and a thread gets no record in it.
std::shared_ptr<const mapping> map_to_look(const std::string& what, file_descriptor file,
                                           const segment_options& options) {
  const auto info = shared_memory::inspect(file.get());
  check_access(what, info, options);
  const segment_constants constants = read_constants(what, file.get(), info);
  mapped_pages pages(file.get(), constants.total_size, file_access::read_only);
  auto made =
      std::make_shared<const mapping>(std::move(file), pages.base(), constants, info.device);
  pages.release();
  return made;
}

std::uint64_t offset_of(const mapping& map, std::uint64_t line) noexcept {
  return map.layout().objects + line * cache_line;
}

std::string_view text_of(const blocks::name_copy& name) noexcept {
  return name.length == 0 ? "unknown" : name.text();
}

// `seen`: anything that an object contains.
template <class Seen>
void name_object(Seen& seen, const mapping& map, std::uint64_t object_line,
                 const blocks::name_copy& name) {
  seen.object = text_of(name);
  seen.offset_in_object = seen.offset - offset_of(map, object_line);
}

// What view(map, offset, room) finds at the lines of live objects.
template <class Seen, class View>
std::vector<Seen> find_in_objects(const mapping& map, View view) {
  std::vector<Seen> all;
  walk_blocks(map, [&](const seen_block& block) {
    if (block.state != block_state::live) return;
    const std::uint64_t begin = offset_of(map, block.object_line());
    for (std::uint64_t at = 0; at + cache_line <= block.size; at += cache_line) {
      if (auto seen = view(map, begin + at, block.size - at))
        name_object(all.emplace_back(std::move(*seen)), map, block.object_line(), block.name);
    }
  });
  return all;
}

}  // namespace

std::string_view to_string(viewed_job_state state) noexcept {
  switch (state) {
    case viewed_job_state::waiting: return "waiting";
    case viewed_job_state::leased: return "leased";
    case viewed_job_state::dead_letter: return "dead letter";
    case viewed_job_state::examined: return "examined";
  }
  return "unknown";
}

std::string_view to_string(viewed_condition condition) noexcept {
  switch (condition) {
    case viewed_condition::consistent: return "consistent";
    case viewed_condition::unrepaired: return "unrepaired";
    case viewed_condition::repairing: return "repairing";
    case viewed_condition::not_recoverable: return "not recoverable";
    case viewed_condition::damaged: return "damaged";
  }
  return "unknown";
}

segment_view segment_view::open(std::string_view name, const segment_options& options) {
  check_segment_name(name);
  const std::string what = quoted_segment(name);
  file_descriptor file = open_segment_file(name, file_access::read_only);
  try {
    if (file) return segment_view(map_to_look(what, std::move(file), options));
  } catch (const std::system_error& error) {
    rethrow_refusal(error, what);
  }
  fail(errc::not_found, what + ": found no " + segment_path(name) + ", expected a segment");
}

segment_view::segment_view(const segment& seg) : map_(segment_access::mapping_of(seg)) {}

// Reading behind the end of a truncated file raises SIGBUS, and reading a punched hole would fill
// it. A change between this check and the read is not noticed in time. A file that can be reached
// neither by descriptor nor by name is one that this process has mapped for its own use: it is read
// as it is.
const mapping& segment_view::checked() const {
  if (const auto file = map_->file_now()) check_extent(map_->describe(), *file, map_->size());
  return *map_;
}

std::string segment_view::name() const {
  return map_->constants().name;
}

segment_options segment_view::options() const {
  return options_of(map_->constants());
}

std::size_t segment_view::size_bytes() const noexcept {
  return map_->size();
}

bool segment_view::has_name() const {
  return named_file::leads_to(map_->constants(), map_->device());
}

std::uint32_t segment_view::owner() const {
  if (const auto file = map_->file_now()) return file->owner;
  throw std::system_error(std::make_error_code(std::errc::bad_file_descriptor),
                          map_->describe() +
                              ": found its descriptor closed by somebody else, and no name, "
                              "expected either to ask for the owner");
}

std::uint32_t segment_view::object_count() const {
  return std::min(checked().header().directory_counts.live.load(std::memory_order_relaxed),
                  map_->constants().directory_capacity);
}

std::uint64_t segment_view::death_count() const {
  return checked().header().owner_deaths.load(std::memory_order_relaxed);
}

std::uint64_t segment_view::meeting_count() const {
  return checked().header().deaths.load(std::memory_order_relaxed);
}

std::vector<pending_death> segment_view::pending_deaths() const {
  const mapping& map = checked();
  std::vector<pending_death> all;
  for (std::uint32_t i = 0; i < map.record_count(); ++i) view_pending_deaths(all, map, i);
  return all;
}

std::vector<viewed_thread> segment_view::threads() const {
  const mapping& map = checked();
  std::vector<viewed_thread> all;
  for (std::uint32_t i = 0; i < map.record_count(); ++i) {
    if (auto seen = view_thread(map, i)) all.push_back(std::move(*seen));
  }
  return all;
}

std::vector<viewed_lock> segment_view::locks() const {
  const mapping& map = checked();
  std::vector<viewed_lock> all;
  living_threads living;
  walk_blocks(map, [&](const seen_block& block) {
    if (block.state != block_state::live) return;
    const std::uint64_t lines = block.size / cache_line;
    for (std::uint64_t i = 0; i < lines; ++i) {
      const std::uint64_t offset = offset_of(map, block.object_line() + i);
      if (map.lock_at(offset).lock != nullptr)
        name_object(all.emplace_back(view_lock(map, offset, living)), map, block.object_line(),
                    block.name);
    }
  });
  return all;
}

viewed_lock segment_view::lock_at(std::uint64_t offset) const {
  const mapping& map = checked();
  living_threads living;
  viewed_lock seen = view_lock(map, offset, living);
  blocks::name_copy name;
  if (const auto line = directory::object_around(map, offset, name))
    name_object(seen, map, *line + std::uint64_t{1}, name);
  return seen;
}

std::vector<viewed_object> segment_view::objects() const {
  const mapping& map = checked();
  std::vector<viewed_object> all;
  walk_blocks(map, [&](const seen_block& block) {
    if (block.state != block_state::live) return;
    const std::string_view type =
        block.name_is_sound ? names::text_of(map, block.name.type_name) : "unknown";
    all.push_back({std::string(text_of(block.name)), demangled(type),
                   offset_of(map, block.object_line()), block.size});
  });
  return all;
}

std::vector<viewed_queue> segment_view::queues() const {
  return find_in_objects<viewed_queue>(checked(), view_queue);
}

std::vector<viewed_permit_pool> segment_view::permit_pools() const {
  return find_in_objects<viewed_permit_pool>(checked(), view_permit_pool);
}

std::vector<viewed_participant> segment_view::participants() const {
  const mapping& map = checked();
  std::vector<viewed_participant> all;
  for (std::uint32_t i = 0; i < map.constants().participants; ++i) {
    if (auto seen = view_participant(map, i)) all.push_back(std::move(*seen));
  }
  return all;
}

std::vector<logged_death> segment_view::deaths() const {
  return read_deaths(checked());
}

}  // namespace outlive
