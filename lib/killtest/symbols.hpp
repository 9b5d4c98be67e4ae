// Code addresses of this process as functions and source lines, by elfutils libdw.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include <outlive/killtest/report.hpp>

#include "killtest/store_log.hpp"

namespace outlive::killtest::detail {

class symbols {
 public:
  symbols();
  ~symbols();
  symbols(const symbols&) = delete;
  symbols& operator=(const symbols&) = delete;

  // The frames of a stack, inlined functions included; those of the kit and of the standard library's plumbing are left out.
  [[nodiscard]] std::vector<frame> describe(const stack_trace& trace);

 private:
  struct debug_information;
  const std::vector<frame>& frames_at(std::uintptr_t address);

  std::unique_ptr<debug_information> known_;
  std::unordered_map<std::uintptr_t, std::vector<frame>> memo_;
};

}  // namespace outlive::killtest::detail
