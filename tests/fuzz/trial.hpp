// One case in a process of its own, and how that ended.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fields.hpp"
#include "fuzz/fuzz_case.hpp"
#include "fuzz/scene.hpp"
#include "fuzz/segment_names.hpp"

namespace outlive::fuzz {

// The scenes and their fields: made once, used by all cases.
class world {
 public:
  world();
  struct place {
    explicit place(std::string_view name) : of(name), fields(of) {}
    scene of;
    field_table fields;
  };
  // Throws std::invalid_argument.
  [[nodiscard]] const place& at(const std::string& name) const;
  [[nodiscard]] const segment_names& names() const noexcept { return names_; }

 private:
  segment_names names_;  // ends last: its process waits for those of the places
  std::map<std::string, std::unique_ptr<place>> places_;
};

struct verdict {
  std::string failure;  // empty: it ended by itself, with success or an error of outlive
  std::string act;      // what it did at the end
  std::string stack;    // of a signal, where it is known: "module(+0xoffset)" a line
  std::chrono::milliseconds took{};

  [[nodiscard]] bool good() const noexcept { return failure.empty(); }
  // Failures of one kind: how it ended, and in which operation.
  [[nodiscard]] std::string kind() const {
    return failure.substr(0, failure.find(':')) + " | " + act;
  }
};

class trial {
 public:
  explicit trial(const world& with);
  ~trial();
  trial(const trial&) = delete;
  trial& operator=(const trial&) = delete;

  // Runs the case. A child that has not ended after `limit` is asked for its stack, and killed.
  [[nodiscard]] verdict run(const fuzz_case& what,
                            std::chrono::seconds limit = std::chrono::seconds(30));

 private:
  struct report;
  // Of a scene: an unnamed file, and its bytes as they belong into that file.
  struct sheet {
    int file;
    std::vector<unsigned char> bytes;
  };
  sheet& sheet_of(const std::string& scene);
  // For a case of its own, with a name: the next one is another file, so that nobody who looks at
  // all segments sees this one cut.
  static void take_own_file(sheet& into);
  [[noreturn]] void run_in_child(const fuzz_case& what, sheet& on);
  void prepare_file(const fuzz_case& what, sheet& on);
  // Returns: whether it ended in time.
  bool wait_for(pid_t child, std::chrono::milliseconds limit, int& status);

  const world& world_;
  std::string name_;
  std::map<std::string, sheet> sheets_;
  report* report_;
};

}  // namespace outlive::fuzz
