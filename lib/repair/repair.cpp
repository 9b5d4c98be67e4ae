#include <outlive/repair.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <outlive/segment.hpp>

#include "directory/names.hpp"
#include "error/failure.hpp"
#include "repair/registry.hpp"
#include "segment/open_segments.hpp"
#include "segment/segment_access.hpp"

namespace outlive {

using namespace detail;

namespace {

std::string describe_class(const mapping& map, std::string_view lock_class) {
  return map.describe() + ", lock class \"" + std::string(lock_class) + '"';
}

repair_registration register_for_class(const std::shared_ptr<mapping>& map,
                                       std::string_view lock_class, std::uint32_t index,
                                       repair_callback callback) {
  return repair_registration(register_repair({map.get(), 0, index}, std::move(callback), map,
                                             describe_class(*map, lock_class)));
}

}  // namespace

repair_registration::repair_registration(repair_registration&& other) noexcept
    : repair_(std::move(other.repair_)) {}

repair_registration& repair_registration::operator=(repair_registration&& other) noexcept {
  if (this != &other) {
    reset();
    repair_ = std::move(other.repair_);
  }
  return *this;
}

repair_registration::~repair_registration() {
  reset();
}

void repair_registration::reset() noexcept {
  if (!repair_) return;
  unregister_repair(repair_);
  repair_.reset();
}

repair_registration on_owner_death(const robust_mutex& mutex, repair_callback callback) {
  const auto map = mapping_table::find(&mutex);
  if (!map)
    fail(errc::not_in_segment,
         "on_owner_death: found a mutex in ordinary memory, expected one in a segment");
  const std::uint64_t offset = map->offset_of(&mutex);
  const std::string described = map->describe() + ", mutex at offset " + std::to_string(offset);
  if (map->lock_at(offset).lock == nullptr)
    fail(errc::damaged, described + ": found no mutex in these bytes, expected one");
  return repair_registration(register_repair({map.get(), offset, 0}, std::move(callback),
                                             open_segments::handle_of(map), described));
}

repair_registration on_owner_death(const segment& seg, std::string_view lock_class,
                                   repair_callback callback) {
  names::check_class_name(lock_class);
  const auto& mapped = segment_access::mapping_of(seg);
  return register_for_class(mapped, lock_class, names::intern_class(*mapped, lock_class),
                            std::move(callback));
}

std::vector<std::string> classes_with_repair(const segment& seg) {
  const auto& mapped = segment_access::mapping_of(seg);
  std::vector<std::string> found;
  for (const std::uint32_t each : detail::classes_with_repair(*mapped))
    found.emplace_back(names::text_of(*mapped, each));
  return found;
}

repair_registration detail::on_guarded_owner_death(
    const segment& seg, std::string_view lock_class, const guarded_type& type,
    std::function<repair_result(void*, const owner_death&)> callback) {
  names::check_class_name(lock_class);
  const auto& mapped = segment_access::mapping_of(seg);
  const std::uint32_t index = names::intern_class(*mapped, lock_class);
  names::bind_class(*mapped, index, type);
  return register_for_class(
      mapped, lock_class, index,
      [callback = std::move(callback), offset = type.value_offset](const owner_death& death) {
        const auto* const mutex = reinterpret_cast<const char*>(&death.mutex());
        return callback(const_cast<char*>(mutex) + offset, death);
      });
}

}  // namespace outlive
