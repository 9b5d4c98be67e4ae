// The commands of the tool that only read, each a program of its own with the segment's name, and
// what else needs the name.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include <outlive/segment_view.hpp>

#include "fuzz/acts.hpp"
#include "fuzz/tool_run.hpp"

namespace outlive::fuzz {

namespace {

struct command {
  std::vector<std::string> words;  // behind the segment's name
  bool finds_faults = false;       // exit code 1 is an answer, too
  bool of_a_segment = true;
  std::string keys{};  // to a terminal
};

constexpr auto tool_limit = 10s;

// Each with --json, too, where it has that.
const std::vector<command>& commands() {
  static const std::vector<command> all = {
      {{"ls"}, true, false},
      {{"ls", "--json"}, true, false},
      {{"show", "--sample", "1ms"}},
      {{"show", "--sample", "1ms", "--all", "--json"}},
      {{"check"}, true},
      {{"check", "--json"}, true},
      {{"deaths"}},
      {{"deaths", "--json"}},
      {{"deaths", "--jobs"}},
      {{"objects"}},
      {{"objects", "--json"}},
      {{"stack"}, true},
      {{"stack", "--json"}, true},
      {{"recover", "--dry-run"}, true},
      {{"recover", "--dry-run", "--json"}, true},
      {{"reset", "account", "--dry-run"}, true},
      {{"rm", "--dry-run"}, true},
      {{"metrics", "--sample", "1ms"}},
      {{"top", "--every", "50ms"}, false, true, " ps?x\t/a\r\x1b[Bq"},
  };
  return all;
}

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& each : words) all += (all.empty() ? "" : " ") + each;
  return all;
}

std::vector<unsigned char> bytes_of(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) throw wrong{"the segment's file cannot be looked at"};
  std::vector<unsigned char> all(static_cast<std::size_t>(info.st_size));
  if (::pread(fd, all.data(), all.size(), 0) != info.st_size)
    throw wrong{"the segment's file cannot be read"};
  return all;
}

// What a terminal would obey.
bool has_control_character(const std::string& text) {
  return std::any_of(text.begin(), text.end(), [](char each) {
    return (static_cast<unsigned char>(each) < 0x20 && each != '\n') || each == 0x7f;
  });
}

// Throws wrong, with the kind of the failure before the first colon.
void judge(const command& asked, const tool_run& had, const std::string& line) {
  std::string said = ": " + line + ", with on stderr: " + had.err.substr(0, 250);
  std::replace_if(
      said.begin(), said.end(), [](char each) { return static_cast<unsigned char>(each) < 0x20; },
      ' ');
  if (!had.failure.empty()) throw wrong{had.failure + said};
  if (had.exit_code != 0 && had.exit_code != 3 && !(had.exit_code == 1 && asked.finds_faults))
    throw wrong{"exit code " + std::to_string(had.exit_code) + said};
  if (has_control_character(had.out) || has_control_character(had.err))
    throw wrong{"a control character is printed" + said};
  if (asked.keys.empty() && had.out.empty() && had.err.empty())
    throw wrong{"not a word is said" + said};
  // One that cannot be looked at says of which segment, and why; an error without a segment is no
  // answer to damage.
  if (had.exit_code == 3 && !had.err.starts_with("outlive " + asked.words[0] + ": segment \""))
    throw wrong{"exit code 3 without a reason" + said};
}

void run_and_judge(const segment_file& on, const command& asked,
                   const std::vector<std::string>& argv, std::chrono::milliseconds limit) {
  const std::vector<unsigned char> before = bytes_of(on.fd);
  const tool_run had =
      asked.keys.empty() ? run_tool(argv, limit) : run_tool_in_terminal(argv, limit, asked.keys);
  judge(asked, had, joined(argv));
  if (bytes_of(on.fd) != before) throw wrong{"the segment was changed: " + joined(argv)};
}

void run_command(const segment_file& on, const command& asked) {
#ifdef FUZZ_TOOL
  std::vector<std::string> argv = asked.words;
  if (asked.of_a_segment) argv.insert(argv.begin() + 1, on.name);
  argv.insert(argv.begin(), FUZZ_TOOL);
  run_and_judge(on, asked, argv, tool_limit);
#else
  static_cast<void>(on);
  static_cast<void>(asked);
#endif
}

void open_by_name(const segment_file& on) {
  segment found = segment::open(on.name);
  static_cast<void>(found.has_name());
  static_cast<void>(found.threads_in_use());
  found.for_each([](const segment::object_info& each) {
    static_cast<void>(std::string(each.name).append(each.type));
  });
  static_cast<void>(found.find<account>("free"));
  if (auto* const shelf = found.find<robust_mutex>("shelf");
      shelf != nullptr && shelf->try_lock_for(patience))
    shelf->unlock();
  static_cast<void>(recover(found));
}

void view_by_name(const segment_file& on) {
  const segment_view view = segment_view::open(on.name);
  for (const auto& each : view.problems()) static_cast<void>(to_string(each));
  for (const auto& each : view.threads()) static_cast<void>(each.in_hand.size());
  static_cast<void>(view.locks());
  static_cast<void>(view.objects());
  static_cast<void>(view.queues());
  static_cast<void>(view.permit_pools());
  static_cast<void>(view.participants());
  static_cast<void>(view.deaths());
}

// Instead of the tool.
void run_script(const segment_file& on, const char* script,
                std::chrono::milliseconds limit = tool_limit) {
  run_and_judge(on, {{"script"}, true}, {"/bin/sh", "-c", script, on.name}, limit);
}

}  // namespace

bool has_tool() {
#ifdef FUZZ_TOOL
  return ::access(FUZZ_TOOL, X_OK) == 0;
#else
  return false;
#endif
}

bool is_of_tool(const std::string& act) {
  return act.starts_with("outlive ");
}

void add_file_acts(file_act_table& made) {
  for (const command& each : commands())
    made["outlive " + joined(each.words)] = [&each](const segment_file& on) {
      run_command(on, each);
    };
  made["open by name"] = open_by_name;
  made["view by name"] = view_by_name;
}

void add_file_failures(file_act_table& made) {
  made["tool that crashes"] = [](const segment_file& on) { run_script(on, "kill -SEGV $$"); };
  made["tool that hangs"] = [](const segment_file& on) { run_script(on, "exec sleep 100", 200ms); };
  made["tool that prints without an end"] = [](const segment_file& on) {
    run_script(on, "exec yes");
  };
  made["tool that ends with another code"] = [](const segment_file& on) {
    run_script(on, "echo text; exit 2");
  };
  made["tool that says nothing"] = [](const segment_file& on) { run_script(on, "exit 1"); };
  made["tool that gives no reason"] = [](const segment_file& on) {
    run_script(on, "echo std::bad_alloc >&2; exit 3");
  };
  made["tool that prints an escape sequence"] = [](const segment_file& on) {
    run_script(on, "printf '\\033[2J'");
  };
  made["tool that changes the segment"] = [](const segment_file& on) {
    run_script(on, "printf x 1<>/dev/shm/outlive.\"$0\"");
  };
}

}  // namespace outlive::fuzz
