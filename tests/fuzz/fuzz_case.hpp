// A case: a scene, what is changed in its bytes, and what is then done with the segment. As text, a
// line each:
//
//   # why it was kept
//   scene deaths
//   set account.state 0x7
//   flip record[2].liveness.kind 4
//   do lock account
//   do outlive check --json
//
// Changes of fields (fields.hpp has the names; values are numbers, or self, bystander, nobody: the
// ids of the thread that runs the case, of a living thread in the scene, of none):
//
//   set F VALUE      add F VALUE     flip F BIT      copy F G      swap F G
//   tear F G         the lower half of G into that of F, as a store that was cut in two
//   fill F BYTE      each byte of it
//   size BYTES       the file's, at the end
//   hole F           its bytes are given back to the file system, at the end
//   seal             the header's checksum fits what was changed before
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "fuzz/fields.hpp"

namespace outlive::fuzz {

struct change {
  std::string verb;
  std::string field;
  std::string value;  // a value, or another field

  [[nodiscard]] std::string text() const;
};

struct fuzz_case {
  std::string scene;
  std::vector<change> changes;
  std::vector<std::string> acts;  // operations.hpp

  [[nodiscard]] std::string text() const;
  // Throws std::invalid_argument.
  static fuzz_case parse(const std::string& text);
  static fuzz_case read(const std::string& file);
};

// The file of a case's segment: what the changes that are no bytes come to.
struct file_shape {
  std::uint64_t size;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> holes;  // offset, bytes
};

// Makes the changes. `bytes` are the scene's, in a file with the inode that its header names.
// Throws std::invalid_argument.
file_shape make_changes(const std::vector<change>& changes, const field_table& fields,
                        pid_t bystander, std::vector<unsigned char>& bytes);

// The header's checksum as it should be.
void seal_header(std::vector<unsigned char>& bytes);

}  // namespace outlive::fuzz
