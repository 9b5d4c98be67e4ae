// A file that takes the log: standard output, or standard error. A thread of its own writes to it.
// A full disk, and a reader that has stopped reading or is gone, then delay nobody but this thread.
#pragma once

#include <memory>
#include <string>

namespace supervise {

class log_file {
 public:
  // `name` is for messages, which go to `messages`: that this file takes nothing more. Without
  // that there are none.
  // Errors: std::system_error if there can be no thread.
  log_file(int fd, std::string name, const log_file* messages = nullptr);
  log_file(const log_file&) = delete;
  log_file& operator=(const log_file&) = delete;
  // Blocks: until all is written, and at most for a second in which the file takes nothing.
  ~log_file();

  // Hands the text to the thread. What the file refuses is tried again every second. Texts that
  // come while a megabyte waits are lost, and counted; the next one says how many.
  // Blocks: never.
  void write(std::string text) const;

 private:
  struct state;
  static void put(state& to, std::string text);
  static void run(const std::shared_ptr<state>& of);

  std::shared_ptr<state> state_;  // also the thread's, which may be stuck in a write for ever
};

}  // namespace supervise
