// Code of other processes as functions and source lines: by debugging information, or by the symbol
// table if there is none.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>

#include <outlive/thread_stack.hpp>

struct source_place {
  std::string function;  // empty: not known
  std::string file;      // empty: not known
  int line = 0;
  bool is_plumbing = false;  // the line is outlive's or the standard library's
};

class source_lines {
 public:
  source_lines();
  ~source_lines();
  source_lines(const source_lines&) = delete;
  source_lines& operator=(const source_lines&) = delete;

  // Returns: where the instruction at `offset` of the file `module` comes from; nothing if the file
  //   cannot be read any more, or has another build id (raw bytes; empty: not compared). For a
  //   return address give the offset of a byte of the call: one less.
  // Reads files; the network is not asked.
  [[nodiscard]] source_place find(std::string_view module, std::uint64_t offset,
                                  std::string_view build_id = {});

  // Returns: "bank.cpp:41 (transfer)", "/usr/bin/bank+0x12f0 (transfer)" or "/usr/bin/bank+0x12f0",
  //   for a return address; empty for none at all.
  [[nodiscard]] std::string describe_call(std::string_view module, std::uint64_t return_offset,
                                          std::string_view build_id = {});

  // The same for a frame that is a call; "unknown+0x12f0" if its module is unknown.
  [[nodiscard]] std::string describe_call(const outlive::stack_frame& call);

  // Returns: whether the frame is of outlive, of the standard library or of the C library.
  [[nodiscard]] bool is_foreign(const outlive::stack_frame& frame, bool is_return_address);

  // Returns: "transfer at /src/bank.cpp:41", or what to_string() tells of the frame. All frames but
  //   the innermost are return addresses.
  [[nodiscard]] std::string describe_frame(const outlive::stack_frame& frame,
                                           bool is_return_address);

 private:
  struct opened;
  [[nodiscard]] std::string look_call_up(std::string_view module, std::uint64_t return_offset,
                                         std::string_view build_id);
  opened& open(const std::string& module);
  std::map<std::string, std::unique_ptr<opened>> files_;
  // described before: thousands of mutexes are taken at one place
  std::map<std::tuple<std::string, std::uint64_t, std::string>, std::string> calls_;
};
