#include "fuzz/expectations.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>

#include "format/layout.hpp"

namespace outlive::fuzz {

namespace {

using detail::block_header;
using detail::cache_line;
using detail::thread_record;

bool is_about(const std::string& field, const std::string& subject) {
  return field == subject || field.starts_with(subject + ".") || field.starts_with(subject + "[");
}

// The indexes of the records that bear the thread's id.
std::vector<std::uint64_t> records_of(const scene& from, pid_t tid) {
  std::vector<std::uint64_t> found;
  for (std::uint64_t i = 0; i < from.layout().record_count; ++i) {
    std::uint32_t bearer = 0;
    const std::uint64_t at =
        from.layout().records + i * from.layout().record_stride + offsetof(thread_record, tid);
    std::memcpy(&bearer, from.bytes().data() + at, sizeof bearer);
    if (bearer == static_cast<std::uint32_t>(tid)) found.push_back(i);
  }
  return found;
}

}  // namespace

expectations::expectations(const fuzz_case& of, const scene& from, const field_table& fields)
    : scene_(of.scene) {
  static constexpr std::string_view known[] = {
      "account", "held",   "unrepaired", "broken",  "repairing", "orphan", "free",   "shelf",
      "table",   "prices", "jobs",       "permits", "ready",     "answer", "limited"};
  for (const std::string_view name : known) {
    const auto block = fields.offset_of("block(" + std::string(name) + ")");
    if (!block) continue;
    std::uint64_t size = 0;
    std::memcpy(&size, from.bytes().data() + *block + offsetof(block_header, size), sizeof size);
    objects_.emplace(name, extent{*block + sizeof(block_header), size});
  }
  for (const std::uint64_t index : records_of(from, from.bystander())) {
    for (const char* each : {"record", "marks", "spilled"})
      of_bystander_.push_back(each + ('[' + std::to_string(index) + ']'));
  }
  std::vector<change> lies;
  std::copy_if(of.changes.begin(), of.changes.end(), std::back_inserter(lies),
               [](const change& each) { return each.verb != "seal"; });
  if (lies.size() != 1 || lies[0].verb == "hole" || lies[0].verb == "size" ||
      lies[0].verb == "swap")
    return;
  lie_ = lies[0].field;
  one_lie_ = fields.find(lie_).size <= 8;
}

bool expectations::holds_unless(const std::vector<std::string>& about) const {
  if (!one_lie_) return false;
  // A header that was sealed anew says what it likes of itself.
  if (lie_.starts_with("header.") && lie_ != "header.records_in_use" &&
      lie_ != "header.name_count" && lie_ != "header.deaths" && lie_ != "header.owner_deaths")
    return false;
  return std::none_of(about.begin(), about.end(),
                      [&](const std::string& each) { return is_about(lie_, each); });
}

bool expectations::tells_a_state() const {
  return lie_.starts_with("block(") && lie_.ends_with(".state");
}

bool expectations::is_held_by_bystander(const std::string& object) const {
  std::vector<std::string> about = of_bystander_;
  about.push_back(object);
  return scene_ == "deaths" && holds_unless(about);
}

bool expectations::needs_repair(const std::string& object) const {
  return scene_ == "deaths" && holds_unless({object});
}

}  // namespace outlive::fuzz
