// The fields of what lies in the directory.
#include <cstddef>
#include <cstring>
#include <string_view>

#include "fuzz/fields.hpp"
#include "fuzz/numbered.hpp"
#include "fuzz/objects.hpp"

namespace outlive::fuzz {

using namespace detail;

void field_table::add_blocks() {
  const auto& header = *reinterpret_cast<const segment_header*>(scene_.bytes().data());
  const std::uint64_t end = header.directory_counts.end.load() & 0xffffffff;
  const std::size_t block_group = groups_.size();
  begin_group();
  const std::size_t object_group = groups_.size();
  begin_group();
  std::uint64_t line = 0;
  while (line < end) {
    const std::uint64_t at = scene_.layout().objects + line * cache_line;
    block_header block;
    std::memcpy(static_cast<void*>(&block), scene_.bytes().data() + at, sizeof block);
    const std::uint64_t object = at + sizeof block;
    const char* const text = block.name_length > inline_name_bytes ? nullptr : block.name;
    const bool live = block.state.load() == static_cast<std::uint32_t>(block_state::live);
    std::string name = numbered("line", line);
    if (live)
      name = text != nullptr ? std::string(text, block.name_length)
                             : "long." + std::to_string(block.name_length);
    for (char& each : name) each = each == ' ' ? '_' : each;
    const std::string of_block = "block(" + name + ")";
    groups_.resize(object_group + 1);
    std::swap(groups_[block_group], groups_.back());
    FUZZ_FIELD(of_block, at, block_header, magic);
    FUZZ_FIELD(of_block, at, block_header, check);
    FUZZ_FIELD(of_block, at, block_header, type);
    FUZZ_FIELD(of_block, at, block_header, size);
    FUZZ_FIELD(of_block, at, block_header, lines);
    FUZZ_FIELD(of_block, at, block_header, state);
    FUZZ_FIELD(of_block, at, block_header, next_freed);
    FUZZ_FIELD(of_block, at, block_header, type_name);
    FUZZ_FIELD(of_block, at, block_header, name_check);
    FUZZ_FIELD(of_block, at, block_header, name_length);
    FUZZ_FIELD(of_block, at, block_header, name);
    add(of_block, at, sizeof(block_header));
    std::swap(groups_[block_group], groups_.back());
    if (live) add_object(name, object);
    if (block.lines == 0) break;
    line += block.lines;
  }
}

void field_table::add_lock(const std::string& name, std::uint64_t offset) {
  add_native(name, offset);
  FUZZ_FIELD(name, offset, lock_bytes, state);
  FUZZ_FIELD(name, offset, lock_bytes, lock_class);
  FUZZ_FIELD(name, offset, lock_bytes, magic);
  add(name, offset, sizeof(lock_bytes));
}

void field_table::add_object(const std::string& name, std::uint64_t offset) {
  for (const std::string_view each : account_names) {
    if (name == each) add_lock(name, offset);
  }
  if (name == "shelf") add_lock(name, offset);
  if (name == "prices" || name == "table") {
    add_lock(name, offset);
    FUZZ_FIELD(name, offset, shared_lock_bytes, gate);
    FUZZ_FIELD(name, offset, shared_lock_bytes, waiting_readers);
  }
  if (name == "ready") {
    FUZZ_FIELD(name, offset, condition_bytes, seq);
    FUZZ_FIELD(name, offset, condition_bytes, magic);
  }
  if (name == "permits") {
    FUZZ_FIELD(name, offset, permit_pool_bytes, seq);
    FUZZ_FIELD(name, offset, permit_pool_bytes, magic);
    FUZZ_FIELD(name, offset, permit_pool_bytes, permits);
    FUZZ_FIELD(name, offset, permit_pool_bytes, words);
    FUZZ_FIELD(name, offset, permit_pool_bytes, collector);
    FUZZ_FIELD(name, offset, permit_pool_bytes, turn);
    for (std::uint64_t i = 0; i < 4; ++i)
      add(numbered("permit", i), offset + sizeof(permit_pool_bytes) + i * 8, 8);
  }
  if (name == "jobs" || name == "limited") add_queue(name, offset);
}

void field_table::add_queue(const std::string& name, std::uint64_t offset) {
  FUZZ_FIELD(name, offset, work_queue_bytes, magic);
  FUZZ_FIELD(name, offset, work_queue_bytes, capacity);
  FUZZ_FIELD(name, offset, work_queue_bytes, max_tries);
  FUZZ_FIELD(name, offset, work_queue_bytes, job_bytes);
  FUZZ_FIELD(name, offset, work_queue_bytes, closed);
  FUZZ_FIELD(name, offset, work_queue_bytes, lease_limit);
  FUZZ_FIELD(name, offset, work_queue_bytes, not_empty);
  FUZZ_FIELD(name, offset, work_queue_bytes, overtaken);
  FUZZ_FIELD(name, offset, work_queue_bytes, not_full);
  FUZZ_FIELD(name, offset, work_queue_bytes, head);
  FUZZ_FIELD(name, offset, work_queue_bytes, tail);
  const std::uint64_t slots = offset + sizeof(work_queue_bytes);
  const std::uint64_t slot_bytes =
      region_layout::round_up(sizeof(job) + 16 + max_job_tries * sizeof(job_try), cache_line);
  const std::string of_slot = name == "jobs" ? "job" : name + ".job";
  for (std::uint64_t i = 0; i < jobs::capacity(); ++i) {
    add(numbered(of_slot, i) + ".state", slots + i * slot_bytes + sizeof(job), 8);
    add(numbered(of_slot, i) + ".time",
        slots + i * slot_bytes + sizeof(job) + 8 + max_job_tries * sizeof(job_try), 8);
    for (std::uint64_t h = 0; h < 2; ++h) {
      const std::string attempt = numbered(of_slot, i) + "." + numbered("try", h);
      const std::uint64_t at = slots + i * slot_bytes + sizeof(job) + 8 + h * sizeof(job_try);
      FUZZ_FIELD(attempt, at, job_try, thread);
      FUZZ_FIELD(attempt, at, job_try, start_time);
    }
  }
}

}  // namespace outlive::fuzz
