// Scenes: the bytes of sound segments that the library made itself, with victims that were killed,
// from which each case starts.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/layout.hpp"

namespace outlive::fuzz {

class scene {
 public:
  // "fresh": nothing has happened yet. "deaths": locks in every condition, a queue, permits,
  // readers, a death log, a directory whose holder is dead. "crowded": all thread records and
  // participants belong to the dead, and the directory is full. Forks a process that makes it, and
  // stays for as long as this object lives, with what living threads have in the scene.
  explicit scene(std::string_view name);
  scene(const scene&) = delete;
  scene& operator=(const scene&) = delete;
  ~scene();

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::vector<unsigned char>& bytes() const noexcept { return bytes_; }
  [[nodiscard]] const detail::region_layout& layout() const noexcept { return layout_; }
  [[nodiscard]] const detail::segment_constants& constants() const noexcept;
  // The living process in the scene.
  [[nodiscard]] pid_t bystander() const noexcept { return pid_; }

 private:
  void end() noexcept;

  std::string name_;
  std::vector<unsigned char> bytes_;
  detail::region_layout layout_{};
  pid_t pid_ = -1;
};

inline constexpr std::string_view scene_names[] = {"fresh", "deaths", "crowded"};

}  // namespace outlive::fuzz
