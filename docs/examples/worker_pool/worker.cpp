#include "worker_pool/worker.hpp"

#include <cstdio>
#include <exception>

#include <outlive/note.hpp>

namespace pool {

namespace {

using words_by_shard = std::vector<std::vector<counted_word>>;

words_by_shard sort_out(const word_counts& words, std::size_t shards) {
  words_by_shard result(shards);
  for (const auto& word : words) result[shard_of(word.first, shards)].push_back(word);
  return result;
}

// One shard after the other, each under its own lock. A worker that dies between two shards has
// merged the chunk into some of them. The chunk is handed out again, and those shards refuse it
// (table.hpp, INV-2).
void merge(shared& all, task at, const words_by_shard& words) {
  const std::size_t shards = all.shards.size();
  for (std::size_t i = 0; i < shards; ++i) {
    const std::size_t chosen = (at.chunk + i) % shards;  // not all workers begin at the same shard
    if (words[chosen].empty()) continue;
    auto table = all.shards[chosen]->lock();
    all.my_seat().now = activity::merging;
    table->merge(at.chunk, at.pass, words[chosen]);
    all.my_seat().now = activity::counting;
  }
}

}  // namespace

int work(shared& all, const std::vector<std::string_view>& chunks, unsigned number) noexcept {
  try {
    all.sit_down(number);
    for (;;) {
      auto at = all.jobs->pop();
      if (at->chunk == no_chunk) return at.done(), 0;
      outlive::note(all.segment, note_of(*at));
      merge(all, *at, sort_out(count_words(chunks[at->chunk]), all.shards.size()));
      at.done();
      ++all.my_seat().chunks;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "worker_pool: worker %u: %s\n", number, error.what());
    return 1;
  }
}

}  // namespace pool
