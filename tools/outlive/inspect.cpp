#include "inspect.hpp"

#include <pwd.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "arguments.hpp"

namespace inspect {

namespace {
const std::string folder = "/dev/shm", prefix = "outlive.";
}

std::string name_in(const std::string& text) {
  const std::string begin = folder + '/' + prefix;
  return text.starts_with(begin) ? text.substr(begin.size()) : text;
}

CLI::Option* add_segment_argument(CLI::App& command, std::string& into) {
  return command.add_option("segment", into, "Name of the segment, as `outlive ls` prints it")
      ->required()
      ->transform(name_in, "")
      ->type_name("SEGMENT");
}

std::vector<std::string> segment_names() {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && name.size() > prefix.size())
      found.push_back(name.substr(prefix.size()));
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string path_of(const std::string& name) {
  return folder + '/' + prefix + name;
}

outlive::segment_view open(const std::string& name) {
  outlive::segment_options options;
  options.mode = 0777;
  struct stat info {};
  if (::lstat(path_of(name).c_str(), &info) == 0) options.expected_owners = {info.st_uid};
  return outlive::segment_view::open(name, options);
}

cell size_cell(std::uint64_t bytes) {
  constexpr std::string_view units = "KMGT";
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
  return {fmt::format("{:.1f}{}", value, units[unit]), bytes};
}

std::string user_name(std::uint32_t uid) {
  const passwd* const user = ::getpwuid(uid);
  return user == nullptr ? std::to_string(uid) : user->pw_name;
}

cell time_cell(std::chrono::system_clock::time_point when) {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm local{}, utc{};
  // A damaged entry can name a year that no calendar has.
  if (ms < 0 || ::localtime_r(&seconds, &local) == nullptr || ::gmtime_r(&seconds, &utc) == nullptr)
    return cell::none();
  return {fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03}", local, ms % 1000),
          fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", utc, ms % 1000)};
}

std::string mutex_name(const outlive::viewed_lock& lock) {
  return lock.offset_in_object == 0 ? lock.object : lock.object + "+" + hex(lock.offset_in_object);
}

std::optional<outlive::viewed_lock> find_mutex(const outlive::segment_view& view,
                                               const std::string& name) {
  const auto all = view.locks();
  const auto first = [&](const auto& matches) -> std::optional<outlive::viewed_lock> {
    const auto found = std::find_if(all.begin(), all.end(), matches);
    return found == all.end() ? std::nullopt : std::optional(*found);
  };
  if (auto found = first([&](const auto& each) { return mutex_name(each) == name; })) return found;
  const auto offset = name.starts_with("0x") ? parse_number<std::uint64_t>(name.substr(2), 16)
                                             : parse_number<std::uint64_t>(name);
  return first([&](const auto& each) { return each.offset == offset; });
}

std::vector<outlive::viewed_lock> mutexes_to_recover(const outlive::segment_view& view) {
  auto all = view.locks();
  std::erase_if(all, [](const outlive::viewed_lock& each) {
    return !each.holder_died && each.condition != outlive::viewed_condition::unrepaired;
  });
  return all;
}

std::string thread_name(pid_t pid, pid_t tid, std::string_view command, std::string_view thread) {
  if (pid == tid) return fmt::format("{} {}", pid, command);
  return fmt::format("{}/{} {}/{}", pid, tid, command, thread);
}

std::vector<std::string> stack_lines(const outlive::thread_stack& stack, source_lines& sources,
                                     bool folds) {
  if (!stack.problem.empty()) return {"no stack: " + stack.problem};
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < stack.frames.size(); ++i) {
    const std::size_t first = i;
    while (folds && i + 1 < stack.frames.size() && sources.is_foreign(stack.frames[i], i > 0) &&
           sources.is_foreign(stack.frames[i + 1], true))
      ++i;
    const std::string text = sources.describe_frame(stack.frames[i], i > 0);
    lines.push_back(i == first ? fmt::format("#{:<2} {}", i, text)
                               : fmt::format("#{}-{} {} (and what it called)", first, i, text));
  }
  return lines;
}

std::size_t count_waiting(const std::vector<outlive::viewed_thread>& threads) {
  return static_cast<std::size_t>(
      std::count_if(threads.begin(), threads.end(),
                    [](const auto& each) { return each.waiting_for.has_value(); }));
}

std::size_t count_held(const outlive::viewed_thread& thread) {
  return static_cast<std::size_t>(std::count_if(thread.in_hand.begin(), thread.in_hand.end(),
                                                [](const auto& each) { return each.held; }));
}

}  // namespace inspect
