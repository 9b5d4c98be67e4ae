#include "fuzz/fuzz_case.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "format/hash.hpp"
#include "format/layout.hpp"

namespace outlive::fuzz {

namespace {

constexpr std::uint64_t page = 4096;

std::uint64_t load(const std::vector<unsigned char>& bytes, const field& from) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + from.offset, std::min<std::size_t>(from.size, sizeof value));
  return value;
}

void store(std::vector<unsigned char>& bytes, const field& into, std::uint64_t value) {
  std::memcpy(bytes.data() + into.offset, &value, std::min<std::size_t>(into.size, sizeof value));
}

class changer {
 public:
  changer(const field_table& fields, pid_t bystander, std::vector<unsigned char>& bytes)
      : fields_(fields), bystander_(bystander), bytes_(bytes), shape_{bytes.size(), {}} {}

  void make(const change& what) {
    if (what.verb == "seal") return seal_header(bytes_);
    if (what.verb == "size") {
      shape_.size = number(what.field);
      return;
    }
    const field at = fields_.find(what.field);
    if (what.verb == "set") return store(bytes_, at, number(what.value));
    if (what.verb == "add") return store(bytes_, at, load(bytes_, at) + number(what.value));
    if (what.verb == "flip") {
      const std::uint64_t bit = number(what.value) % (std::uint64_t{at.size} * 8);
      bytes_[at.offset + bit / 8] ^= static_cast<unsigned char>(1U << bit % 8);
      return;
    }
    if (what.verb == "fill") {
      std::memset(bytes_.data() + at.offset, static_cast<int>(number(what.value) & 0xff), at.size);
      return;
    }
    if (what.verb == "hole") {
      const std::uint64_t begin = at.offset / page * page;
      shape_.holes.emplace_back(begin, (at.offset + at.size + page - 1) / page * page - begin);
      return;
    }
    const field other = fields_.find(what.value);
    const std::size_t size = std::min(at.size, other.size);
    if (what.verb == "copy") {
      std::memmove(bytes_.data() + at.offset, bytes_.data() + other.offset, size);
    } else if (what.verb == "tear") {
      std::memmove(bytes_.data() + at.offset, bytes_.data() + other.offset, size / 2);
    } else if (what.verb == "swap") {
      const std::vector<unsigned char> kept(
          bytes_.begin() + static_cast<std::ptrdiff_t>(at.offset),
          bytes_.begin() + static_cast<std::ptrdiff_t>(at.offset + size));
      std::memmove(bytes_.data() + at.offset, bytes_.data() + other.offset, size);
      std::memcpy(bytes_.data() + other.offset, kept.data(), size);
    } else {
      throw std::invalid_argument("found the change \"" + what.verb +
                                  "\", expected one of those in fuzz_case.hpp");
    }
  }
  [[nodiscard]] const file_shape& shape() const noexcept { return shape_; }

 private:
  [[nodiscard]] std::uint64_t number(const std::string& text) const {
    if (text == "self") return static_cast<std::uint64_t>(::getpid());
    if (text == "bystander") return static_cast<std::uint64_t>(bystander_);
    if (text == "nobody") return 0x3ffffffe;
    if (!text.empty() && text[0] == '-')
      return static_cast<std::uint64_t>(std::stoll(text, nullptr, 0));
    return std::stoull(text, nullptr, 0);
  }

  const field_table& fields_;
  pid_t bystander_;
  std::vector<unsigned char>& bytes_;
  file_shape shape_;
};

}  // namespace

std::string change::text() const {
  std::string line = verb;
  for (const std::string& each : {field, value}) {
    if (!each.empty()) line += ' ' + each;
  }
  return line;
}

std::string fuzz_case::text() const {
  std::string all = "scene " + scene + '\n';
  for (const change& each : changes) all += each.text() + '\n';
  for (const std::string& each : acts) all += "do " + each + '\n';
  return all;
}

fuzz_case fuzz_case::parse(const std::string& text) {
  fuzz_case made;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    change read;
    words >> read.verb >> read.field;
    if (read.verb == "do") {
      made.acts.push_back(line.substr(3));
    } else if (read.verb == "scene") {
      made.scene = read.field;
    } else {
      words >> read.value;
      made.changes.push_back(read);
    }
  }
  if (made.scene.empty())
    throw std::invalid_argument("found a case without a scene, expected a line \"scene NAME\"");
  return made;
}

fuzz_case fuzz_case::read(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream all;
  all << in.rdbuf();
  if (!in) throw std::invalid_argument(file + ": cannot be read");
  return parse(all.str());
}

void seal_header(std::vector<unsigned char>& bytes) {
  using detail::segment_constants;
  const std::uint64_t sum = detail::hash_bytes(bytes.data(), offsetof(segment_constants, checksum),
                                               detail::segment_magic);
  std::memcpy(bytes.data() + offsetof(segment_constants, checksum), &sum, sizeof sum);
}

file_shape make_changes(const std::vector<change>& changes, const field_table& fields,
                        pid_t bystander, std::vector<unsigned char>& bytes) {
  changer all(fields, bystander, bytes);
  for (const change& each : changes) all.make(each);
  return all.shape();
}

}  // namespace outlive::fuzz
