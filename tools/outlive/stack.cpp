// outlive stack: the present stacks of the threads that hold a mutex or wait.
// docs/man/outlive-stack.1.scd
#include <cstddef>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <outlive/live_stack.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "inspect.hpp"
#include "source_lines.hpp"
#include "table.hpp"

namespace commands {

namespace {

struct stack_settings {
  std::string segment;
  std::string of;
  bool all_frames = false;
  table_settings output;
};

struct shown_thread {
  outlive::viewed_thread thread;
  std::vector<std::string> holds;
  std::string waits_for;
  outlive::thread_stack stack;
};

class mutex_names {
 public:
  explicit mutex_names(const outlive::segment_view& view) : view_(view) {}
  const std::string& of(std::uint64_t offset) {
    auto [at, fresh] = known_.try_emplace(offset);
    if (fresh) at->second = inspect::mutex_name(view_.lock_at(offset));
    return at->second;
  }

 private:
  const outlive::segment_view& view_;
  std::map<std::uint64_t, std::string> known_;
};

shown_thread describe(const outlive::viewed_thread& thread, mutex_names& by) {
  shown_thread shown{thread, {}, {}, {}};
  for (const auto& each : thread.in_hand) {
    if (each.held) shown.holds.push_back(by.of(each.mutex_offset));
  }
  if (thread.waiting_for) shown.waits_for = by.of(*thread.waiting_for);
  return shown;
}

bool involves(const outlive::viewed_thread& thread, std::uint64_t mutex) {
  if (thread.waiting_for == mutex) return true;
  for (const auto& each : thread.in_hand) {
    if (each.held && each.mutex_offset == mutex) return true;
  }
  return false;
}

// The threads whose stacks are wanted; nothing if there is no such process and no such mutex.
std::optional<std::vector<shown_thread>> selected_threads(const outlive::segment_view& view,
                                                          const std::string& of) {
  std::vector<shown_thread> all;
  mutex_names by(view);
  const auto mutex = of.empty() ? std::nullopt : inspect::find_mutex(view, of);
  const pid_t pid = mutex ? 0 : parse_number<pid_t>(of).value_or(0);
  if (!of.empty() && !mutex && pid == 0) return std::nullopt;
  bool has_pid = false;
  for (const auto& each : view.threads()) {
    if (!each.alive) continue;
    has_pid = has_pid || each.pid == pid;
    shown_thread shown = describe(each, by);
    bool wanted = !shown.holds.empty() || !shown.waits_for.empty();
    if (pid != 0) wanted = each.pid == pid;
    if (mutex) wanted = involves(each, mutex->offset);
    if (wanted) all.push_back(std::move(shown));
  }
  if (pid != 0 && !has_pid) return std::nullopt;
  return all;
}

std::string heading(const shown_thread& shown) {
  std::string text = inspect::thread_name(shown.thread);
  for (std::size_t i = 0; i < shown.holds.size(); ++i)
    text += (i == 0 ? ", holds " : ", ") + shown.holds[i];
  if (!shown.waits_for.empty()) text += ", waits for " + shown.waits_for;
  return printable(text);
}

std::string as_text(const std::vector<shown_thread>& all, bool all_frames) {
  const terminal on = terminal::of_stdout();
  std::string text;
  source_lines sources;
  for (const auto& each : all) {
    text += (text.empty() ? "" : "\n") + heading(each) + "\n";
    for (const std::string& line : inspect::stack_lines(each.stack, sources, !all_frames))
      text += indented(printable(line), 2, on);
  }
  return text;
}

nlohmann::ordered_json as_json(const std::vector<shown_thread>& all) {
  auto list = nlohmann::ordered_json::array();
  source_lines sources;
  for (const auto& each : all) {
    auto frames = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < each.stack.frames.size(); ++i) {
      const auto& frame = each.stack.frames[i];
      const auto place =
          frame.module.empty()
              ? source_place()
              : sources.find(frame.module, frame.offset - (i > 0 ? 1 : 0), frame.build_id);
      frames.push_back({{"address", frame.address},
                        {"module", cell(frame.module).value},
                        {"module_offset", frame.offset},
                        {"function", cell(frame.function).value},
                        {"function_offset", frame.function_offset},
                        {"file", cell(place.file).value},
                        {"line", place.line}});
    }
    list.push_back({{"pid", each.thread.pid},
                    {"tid", each.thread.tid},
                    {"command", each.thread.command_name},
                    {"thread", each.thread.thread_name},
                    {"holds", each.holds},
                    {"waits_for", cell(each.waits_for).value},
                    {"problem", cell(each.stack.problem).value},
                    {"frames", frames}});
  }
  return list;
}

int stack_command(const stack_settings& wanted) {
  const auto view = inspect::open(wanted.segment);
  auto all = selected_threads(view, wanted.of);
  if (!all) {
    print_message(
        fmt::format("outlive stack: segment \"{}\": no mutex and no attached process \"{}\" "
                    "(`outlive show` lists both)",
                    wanted.segment, wanted.of));
    return problem_found;
  }
  bool complete = true;
  for (auto& each : *all) {
    each.stack = outlive::live_stack(each.thread.tid);
    complete = complete && each.stack.problem.empty();
  }
  write_result(wanted.output.json ? json_text(as_json(*all)) : as_text(*all, wanted.all_frames));
  if (all->empty() && !wanted.output.json)
    print_message(fmt::format("segment \"{}\": no thread holds {} or waits for it", wanted.segment,
                              wanted.of.empty() ? "a mutex" : "that mutex"));
  return complete ? success : problem_found;
}

}  // namespace

void add_stack(CLI::App& tool, int& exit_code) {
  CLI::App& command = *tool.add_subcommand(
      "stack", "Show the stacks of the threads that hold a mutex of a segment or wait for one");
  const auto wanted = std::make_shared<stack_settings>();
  inspect::add_segment_argument(command, wanted->segment);
  command
      .add_option("of", wanted->of,
                  "Only the threads at this mutex, or of the process with this id")
      ->type_name("LOCK|PID");
  command.add_flag("-a,--all-frames", wanted->all_frames,
                   "Also print each frame of outlive, the standard library and the C library");
  add_json_option(command, wanted->output);
  command.callback([wanted, &exit_code] { exit_code = stack_command(*wanted); });
}

}  // namespace commands
