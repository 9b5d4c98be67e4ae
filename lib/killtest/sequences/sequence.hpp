// sequence: steps as values, which can be run again, shortened and kept in a file.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <outlive/killtest/sequences.hpp>

namespace outlive::killtest::detail {

struct sequence_step {
  std::size_t operation = 0;  // index
  operation_arguments arguments;
  // The operation dies after so many of its stores; those that change nothing count, so that the
  // same number is the same place with other arguments. A number that is greater than all of them
  // is taken modulo these, plus one: a sequence is made before anybody knows how many they are. No
  // number: it lives.
  std::optional<std::uint32_t> death;
  std::uint32_t heirs = 0;  // chooses the order of recovery, and which heirs die where

  bool operator==(const sequence_step&) const = default;
};

using sequence = std::vector<sequence_step>;

[[nodiscard]] sequence random_sequence(const erased_model_test& of, const sequence_options& how,
                                       std::mt19937_64& random);

// Sequences that are a little simpler, the simplest first.
[[nodiscard]] std::vector<sequence> simpler_than(const erased_model_test& of, const sequence& all);

// "push(3), killed after store 12".
[[nodiscard]] std::string text_of(const erased_model_test& of, const sequence_step& step);

// Writes it to a new file in that folder, which is made if it is not there. Returns: the file.
// Throws std::system_error.
[[nodiscard]] std::string write_to(const std::string& folder, const erased_model_test& of,
                                   const sequence& all);

struct kept_sequence {
  std::string file;
  sequence steps;
};
// Those of this test, sorted by file. A folder that is not there has none.
// Throws: std::system_error, std::runtime_error: they name the file.
[[nodiscard]] std::vector<kept_sequence> read_from(const std::string& folder,
                                                   const erased_model_test& of);

}  // namespace outlive::killtest::detail
