// The text that is counted: all files in one string, cut into chunks; and the plain count, which
// knows nothing of chunks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pool {

// Longer words are cut to it, in the plain count too: a slot of the shared table has room for so
// many bytes.
inline constexpr std::size_t longest_word = 47;
// The shared table has a word of memory for each chunk; larger texts get larger chunks, not more.
inline constexpr std::size_t max_chunks = 1024;
inline constexpr std::size_t smallest_chunk_bytes = 4096;

struct text {
  std::string bytes;  // the files, one after another, with a newline between them
  std::size_t files = 0;
};

// Reads files, and all that is below folders (but hidden names).
// Errors: std::system_error with the path, for what is missing or cannot be read.
[[nodiscard]] text read_text(const std::vector<std::string>& paths);

// Cuts the text between words into at most max_chunks pieces, none of them empty.
[[nodiscard]] std::vector<std::string_view> cut(std::string_view whole);

using word_counts = std::unordered_map<std::string_view, std::uint64_t>;

// A word is a run of letters, digits, '_' and bytes of UTF-8 sequences. The keys point into
// `piece`.
[[nodiscard]] word_counts count_words(std::string_view piece);

}  // namespace pool
