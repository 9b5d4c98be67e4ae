// outlive objects: what a segment's directory has. docs/man/outlive-objects.1.scd
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "inspect.hpp"
#include "table.hpp"

namespace commands {

namespace {

std::vector<column> objects_columns() {
  std::vector<column> all{{"name", "NAME"},
                          {"size_bytes", "SIZE", align::right},
                          {"offset", "OFFSET", align::right, false},
                          {"type", "TYPE"}};
  all.back().wraps = true;
  return all;
}

int objects_command(const std::string& segment, const table_settings& wanted) {
  table lines(objects_columns());
  for (const auto& each : inspect::open(segment).objects())
    lines.add({each.name, each.size_bytes, hex_cell(each.offset), each.type});
  write_result(lines.rendered(wanted, terminal::of_stdout()));
  if (lines.empty() && !wanted.json)
    print_message(fmt::format("segment \"{}\": no objects", segment));
  return success;
}

}  // namespace

void add_objects(CLI::App& tool, int& exit_code) {
  CLI::App& command =
      *tool.add_subcommand("objects", "List the objects of a segment, with their types and sizes");
  const auto wanted = std::make_shared<table_settings>();
  const auto segment = std::make_shared<std::string>();
  inspect::add_segment_argument(command, *segment);
  add_table_options(command, *wanted, objects_columns());
  command.callback([=, &exit_code] { exit_code = objects_command(*segment, *wanted); });
}

}  // namespace commands
