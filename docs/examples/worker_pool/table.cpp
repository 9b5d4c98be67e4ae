#include "worker_pool/table.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>

#include "worker_pool/crash_barrier.hpp"

namespace pool {

namespace {

constexpr std::size_t least_shards = 8;
constexpr std::size_t most_shards = 4096;

std::uint64_t hash(std::string_view word) noexcept {
  // FNV-1a: equal in all processes, which std::hash does not promise
  std::uint64_t value = 0xcbf29ce484222325u;
  for (const char c : word) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return value ^ (value >> 32);
}

// The text first, then the length that makes it a word of the table. In the reverse order a kill
// would leave a word that is in no text, and no repair could recognise it.
void put_word(slot& where, std::string_view word) noexcept {
  std::memcpy(where.text, word.data(), word.size());
  crash_barrier();  // text before length
  where.length = static_cast<std::uint8_t>(word.size());
}

}  // namespace

slot* shard::find_or_free(std::string_view word) noexcept {
  const std::size_t home = hash(word) % slot_count;
  for (std::size_t i = 0; i < slot_count; ++i) {
    slot& candidate = slots_[(home + i) % slot_count];
    if (candidate.length == 0 || candidate.word() == word) return &candidate;
  }
  return nullptr;
}

void shard::merge(std::uint32_t chunk, std::uint32_t pass, const std::vector<counted_word>& words) {
  // by a worker that died before the chunk was complete in all shards (INV-2)
  if (merged_in_[chunk] >= pass) return;

  phase_ = phase::filling;
  crash_barrier();  // "filling" before the first store into the journal
  fill_journal(chunk, pass, words);
  crash_barrier();  // the whole journal before the word that says that it is complete
  phase_ = phase::applying;
  crash_barrier();  // "applying" before the first store into a slot
  apply_journal();
  forget_journal();
}

void shard::fill_journal(std::uint32_t chunk, std::uint32_t pass,
                         const std::vector<counted_word>& words) {
  journal_chunk_ = chunk;
  journal_pass_ = pass;
  journal_size_ = 0;
  for (const auto& [word, count] : words) {
    const slot* now = find_or_free(word);
    if (now == nullptr || journal_size_ == slot_count)
      throw std::length_error("a shard of the table is full");
    slot& entry = journal_[journal_size_++];
    entry.count = (now->length != 0 ? now->count : 0) + count;  // the sum, not the summand (INV-1)
    put_word(entry, word);
  }
}

void shard::apply_journal() noexcept {
  for (std::size_t i = 0; i < journal_size_; ++i) {
    slot& target = *find_or_free(journal_[i].word());
    target.count = journal_[i].count;
    if (target.length == 0) put_word(target, journal_[i].word());
  }
  merged_in_[journal_chunk_] = journal_pass_;
}

void shard::forget_journal() noexcept {
  // all that needs the journal before the word that discards it: slots, mark (INV-2), repair line
  crash_barrier();
  phase_ = phase::idle;
}

outlive::repair_result shard::repair(const outlive::owner_death& death) {
  mended how = mended::nothing_to_do;
  if (phase_ == phase::filling) how = mended::rolled_back;
  if (phase_ == phase::applying) how = mended::rolled_forward;
// The test of this program builds it a second time without this line: then the counts must differ.
#ifndef BROKEN_REPAIR
  if (phase_ == phase::applying) apply_journal();
#endif
  write_line(death.owner(), how);
  forget_journal();
  return outlive::repaired;
}

// An heir that is killed after this leaves the same death to the next one, who finds that the line
// is there.
void shard::write_line(const outlive::thread_identity& owner, mended how) noexcept {
  if (repairs_ > 0 && owner.known) {
    const repair_line& last = line(repairs_ - 1);
    if (last.dead_owner == owner.pid && last.owner_started == owner.start_time) return;
  }
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  lines_[repairs_ % kept_lines] = {owner.pid, how, owner.start_time,
                                   std::chrono::nanoseconds(now).count()};
  crash_barrier();  // the line before the number that publishes it
  ++repairs_;
}

std::size_t shard_of(std::string_view word, std::size_t shards) noexcept {
  return (hash(word) >> 16) & (shards - 1);  // other bits than those that choose the slot
}

std::optional<std::size_t> shards_for(const word_counts& words) {
  for (std::size_t shards = least_shards; shards <= most_shards; shards *= 2) {
    std::vector<std::size_t> load(shards);
    for (const auto& [word, count] : words) ++load[shard_of(word, shards)];
    if (*std::max_element(load.begin(), load.end()) <= shard::slot_count / 4 * 3) return shards;
  }
  return std::nullopt;
}

}  // namespace pool
