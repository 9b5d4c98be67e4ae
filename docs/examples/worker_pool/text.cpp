#include "worker_pool/text.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace pool {

namespace {

namespace fs = std::filesystem;

bool in_word(char byte) noexcept {
  const auto c = static_cast<unsigned char>(byte);
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c >= 0x80;
}

bool hidden(const fs::path& path) {
  return path.filename().native().starts_with('.');
}

void append_file(text& all, const fs::path& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (file) all.bytes.append(std::istreambuf_iterator<char>(file), {});
  if (!file || file.bad()) {
    throw std::system_error(errno != 0 ? errno : EIO, std::generic_category(),
                            "cannot read " + path.string());
  }
  all.bytes += '\n';
  ++all.files;
}

void append_folder(text& all, const fs::path& folder) {
  std::vector<fs::path> files;
  for (fs::recursive_directory_iterator at(folder), end; at != end; ++at) {
    if (hidden(at->path())) {
      at.disable_recursion_pending();
    } else if (at->is_regular_file()) {
      files.push_back(at->path());
    }
  }
  std::sort(files.begin(), files.end());  // so that a seed means the same chunks on every machine
  for (const auto& path : files) append_file(all, path);
}

}  // namespace

text read_text(const std::vector<std::string>& paths) {
  text all;
  for (const auto& path : paths) {
    if (fs::is_directory(path)) {
      append_folder(all, path);
    } else {
      append_file(all, path);
    }
  }
  return all;
}

std::vector<std::string_view> cut(std::string_view whole) {
  const std::size_t step = std::max(smallest_chunk_bytes, whole.size() / max_chunks + 1);
  std::vector<std::string_view> chunks;
  while (!whole.empty()) {
    std::size_t end = std::min(step, whole.size());
    while (end < whole.size() && in_word(whole[end])) ++end;
    chunks.push_back(whole.substr(0, end));
    whole.remove_prefix(end);
  }
  return chunks;
}

word_counts count_words(std::string_view piece) {
  word_counts counts;
  for (auto at = piece.begin(); at != piece.end();) {
    const auto begin = std::find_if(at, piece.end(), in_word);
    at = std::find_if_not(begin, piece.end(), in_word);
    if (begin == at) break;
    const std::string_view word(&*begin, static_cast<std::size_t>(at - begin));
    ++counts[word.substr(0, longest_word)];
  }
  return counts;
}

}  // namespace pool
