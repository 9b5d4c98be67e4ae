// watch_list: the processes of a segment that a supervisor knows, each with a handle that becomes
// readable when it has ended; and children that the program named, which may never attach.
//
// A process is known by its identity in the table of participants (pid and start time). So a slot
// or a pid that goes to another process does no harm. If there is no handle for a process, each
// refresh() asks for it. The last quarter of the descriptors is the program's: no handle is kept
// there.
#pragma once

#include <pthread.h>

#include <chrono>
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
  file_descriptor handle;  // empty: there was none, or it is not needed any more
  bool ended = false;
  bool handled = false;       // its end was reported, or was not worth a report
  bool ended_before = false;  // before the first refresh()
  bool error_reported = false;
  // When a sweep first met it just ending; 0: none has.
  std::chrono::steady_clock::time_point ending_since{};
  bool is_child = false;    // add_child() named it: it is watched though the table may not have it
  std::uint64_t round = 0;  // the last refresh() that found it in the table
  std::optional<process_handle::process_end> end;
};

class watch_list {
 public:
  using error_callback = std::function<void(const std::system_error&)>;
  watch_list(const mapping& map, event_set& events, error_callback on_error)
      : map_(map), events_(events), on_error_(std::move(on_error)) {}

  // Finds new processes in the table, and checks those without a handle.
  // Returns: the identities of processes whose end was not handled yet.
  std::vector<std::uint64_t> refresh();

  // Watches a child from now on, whether it attaches or not. Throws if it is no child of this
  // process, and if it cannot be watched.
  void add_child(pid_t pid);

  // Returns: the process, if it has ended and that was not handled yet; otherwise nullptr.
  watched_process* ended(std::uint64_t identity) noexcept;
  // Returns: the process of that pid, unless its end was handled; otherwise nullptr.
  watched_process* find(pid_t pid) noexcept;

  // A handle for this moment, also from the program's quarter. Empty if there is none.
  static file_descriptor open_handle(const watched_process& process);

  // Reads name and start time again: refresh() may have come while the process wrote them.
  void describe(watched_process& process, std::uint64_t identity) const;
  // Marks its end as handled, and closes the handle. It stays known as long as the table names it.
  void close(watched_process& process) noexcept;
  // Keeps the handle, but not as a source of events.
  void silence(watched_process& process) noexcept;
  [[nodiscard]] std::size_t living() const noexcept;

 private:
  void add(std::uint64_t identity, std::uint32_t slot);
  void get_handle(watched_process& process, std::uint64_t identity);
  void report_without_handle(watched_process& process, const std::system_error& failure);

  const mapping& map_;
  event_set& events_;
  error_callback on_error_;
  std::unordered_map<std::uint64_t, watched_process> all_;
  std::uint64_t rounds_ = 0;
  bool reserve_reported_ = false;  // and since then some process has had no handle
};

}  // namespace outlive::detail
