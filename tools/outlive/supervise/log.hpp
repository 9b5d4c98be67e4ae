// What `outlive supervise` prints: a line for each event, its details indented below. Each event is
// written at once and in one piece. Nothing here blocks, and no trouble of the log stops anybody.
#pragma once

#include <string_view>

#include <outlive/supervisor.hpp>

#include "supervise/log_file.hpp"

namespace supervise {

class event_log {
 public:
  event_log();

  void write(const outlive::participant_death& death) const;
  void write(const outlive::hung_owner& owner) const;
  void write(const outlive::deadlock& found) const;
  void write(const outlive::lost_name& lost) const;
  // A line about a worker.
  void write(std::string_view line) const;
  // To stderr: what does not end the supervision.
  void report_error(std::string_view what) const;

 private:
  log_file stderr_;
  log_file stdout_;
};

}  // namespace supervise
