// outlive ls: the segments of this machine. docs/man/outlive-ls.1.scd
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <outlive/error.hpp>

#include "commands.hpp"
#include "inspect.hpp"
#include "table.hpp"

namespace commands {

namespace {

std::vector<column> ls_columns() {
  std::vector<column> all{{"name", "NAME"},
                          {"size_bytes", "SIZE", align::right},
                          {"owner", "OWNER"},
                          {"participants", "PROCESSES", align::right},
                          {"threads", "THREADS", align::right},
                          {"objects", "OBJECTS", align::right},
                          {"deaths", "DEATHS", align::right},
                          {"problem", "PROBLEM"}};
  all.back().wraps = true;
  return all;
}

std::vector<cell> row_of(const std::string& name) {
  const outlive::segment_view view = inspect::open(name);
  return {name,
          inspect::size_cell(view.size_bytes()),
          inspect::user_name(view.owner()),
          inspect::count_alive(view.participants()),
          inspect::count_alive(view.threads()),
          view.object_count(),
          view.death_count(),
          ""};
}

// The column says which segment it is, and that it is one.
std::string without_name(const std::string& message, const std::string& name) {
  const std::string begin = "segment \"" + name + "\": ";
  return message.starts_with(begin) ? message.substr(begin.size()) : message;
}

// What the file system says to everybody, also of a segment that cannot be read.
std::vector<cell> row_without_view(const std::string& name, cell problem) {
  std::vector<cell> line(ls_columns().size(), cell::none());
  line[0] = name;
  struct stat info {};
  if (::lstat(inspect::path_of(name).c_str(), &info) == 0) {
    line[1] = inspect::size_cell(static_cast<std::uint64_t>(info.st_size));
    line[2] = inspect::user_name(info.st_uid);
  }
  line.back() = std::move(problem);
  return line;
}

int ls_command(const table_settings& wanted) {
  table lines(ls_columns());
  int result = success;
  for (const std::string& name : inspect::segment_names()) {
    try {
      lines.add(row_of(name));
    } catch (const std::system_error& error) {
      if (error.code() == outlive::errc::not_found) continue;  // removed since its name was read
      // Another user's segment is no problem of this machine.
      const bool is_closed_to_us = error.code() == std::errc::permission_denied;
      lines.add(row_without_view(
          name,
          cell(without_name(error.what(), name)).in(is_closed_to_us ? tone::dim : tone::bad)));
      if (!is_closed_to_us) result = problem_found;
    }
  }
  write_result(lines.rendered(wanted, terminal::of_stdout()));
  if (lines.empty() && !wanted.json) print_message("no segments on this machine");
  return result;
}

}  // namespace

void add_ls(CLI::App& tool, int& exit_code) {
  CLI::App& command = *tool.add_subcommand("ls", "List the segments of this machine");
  const auto wanted = std::make_shared<table_settings>();
  add_table_options(command, *wanted, ls_columns());
  command.callback([wanted, &exit_code] { exit_code = ls_command(*wanted); });
}

}  // namespace commands
