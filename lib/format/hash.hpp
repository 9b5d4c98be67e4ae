// Hashes of names and checksums of shared bytes. Part of the format: a change is a change of
// format_version.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace outlive::detail {

constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using wide = unsigned __int128;
  const wide product = static_cast<wide>(a ^ 0x9e3779b97f4a7c15) * (b ^ 0xd1b54a32d192ed03);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// The last 1 to 7 bytes as a little-endian word padded with zeros. Overlapping loads of known size:
// a memcpy of unknown size is a call.
inline std::uint64_t load_tail(const char* at, std::size_t size) noexcept {
  if (size >= 4) {
    std::uint32_t first;
    std::uint32_t last;
    std::memcpy(&first, at, 4);
    std::memcpy(&last, at + size - 4, 4);
    return std::uint64_t{last} << (size - 4) * 8 | first;
  }
  const auto byte = [&](std::size_t i) {
    return std::uint64_t{static_cast<unsigned char>(at[i])} << i * 8;
  };
  return byte(0) | byte(size / 2) | byte(size - 1);
}

// Eight bytes at a time. The length is hashed first, so that padding zeros do not make texts equal.
inline std::uint64_t hash_bytes(const void* data, std::size_t size,
                                std::uint64_t seed = 0) noexcept {
  const auto* at = static_cast<const char*>(data);
  std::uint64_t hash = mix(seed, size);
  for (; size >= 8; size -= 8, at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    hash = mix(hash, word);
  }
  if (size > 0) {
    hash = mix(hash, load_tail(at, size));
  }
  return mix(hash, 0);
}

inline std::uint64_t hash_text(std::string_view text) noexcept {
  return hash_bytes(text.data(), text.size());
}

}  // namespace outlive::detail
