// watch_list: the processes of a segment that a supervisor knows, each with a handle that becomes
// readable when it has ended.
//
// A process is known by its identity in the table of participants (pid and start time), so that
// neither a slot nor a pid that goes to another process confuses it. One whose handle is not to be
// had is asked for in each look.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mapping/mapping.hpp"
#include "sys/event_set.hpp"
#include "sys/process_handle.hpp"

namespace outlive::detail {

struct watched_process {
  std::uint64_t identity = 0;
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  std::string command;
  std::uint32_t slot = 0;
  file_descriptor handle;  // empty: could not be had, or is not needed any more
  bool ended = false;
  bool told = false;         // it is known to have ended, and that is done with
  bool from_before = false;  // it had ended before the first look
  bool complained = false;
  std::uint64_t look = 0;  // the last one that found it in the table
  std::optional<process_handle::process_end> end;
};

class watch_list {
 public:
  using complaint = std::function<void(const std::system_error&)>;
  watch_list(const mapping& map, event_set& events, complaint complain)
      : map_(map), events_(events), complain_(std::move(complain)) {}

  // Looks through the table for processes that are new, and asks after those without a handle.
  // Returns: the identities of processes that have ended, and that were not told.
  std::vector<std::uint64_t> look();

  // The process whose handle is readable; nullptr if it is not known, or not ended.
  watched_process* ended(std::uint64_t identity) noexcept;
  // A process that is not told to have ended, by its pid.
  watched_process* find(pid_t pid) noexcept;

  // Brings name and start time up to date: a look may have come while the process wrote them.
  void describe(watched_process& process, std::uint64_t identity) const;
  // It is dealt with: its handle is let go. It stays known as long as the table names it.
  void close(watched_process& process) noexcept;
  // Its handle is no source of events any more, and is kept.
  void silence(watched_process& process) noexcept;
  [[nodiscard]] std::size_t living() const noexcept;

 private:
  void meet(std::uint64_t identity, std::uint32_t slot);
  void get_handle(watched_process& process, std::uint64_t identity);

  const mapping& map_;
  event_set& events_;
  complaint complain_;
  std::unordered_map<std::uint64_t, watched_process> all_;
  std::uint64_t looks_ = 0;
};

}  // namespace outlive::detail
