// outlive rm: removes a segment's name. docs/man/outlive-rm.1.scd
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <outlive/error.hpp>
#include <outlive/segment.hpp>

#include "commands.hpp"
#include "inspect.hpp"

namespace commands {

namespace {

struct rm_settings {
  std::string segment;
  bool force = false;
  bool dry_run = false;
};

// Why the segment should stay; empty if it may go. A name without a segment is an error.
std::string reason_to_keep(const std::string& segment) {
  try {
    std::string users;
    for (const auto& each : inspect::open(segment).participants()) {
      if (each.alive)
        users += fmt::format("{}{} {}", users.empty() ? "" : ", ", each.pid, each.command_name);
    }
    return users.empty() ? users : "segment \"" + segment + "\" is in use by " + users;
  } catch (const std::system_error& error) {
    if (error.code() == outlive::errc::not_found || error.code() == outlive::errc::invalid_name)
      throw;
    return fmt::format("{}; it is not known who uses it", error.what());
  }
}

// Why the file system does not let us remove the name; empty if it does. Asked before anything is
// promised.
std::string reason_it_cannot(const std::string& segment) {
  const std::string file = inspect::path_of(segment);
  const std::string folder = file.substr(0, file.rfind('/'));
  struct stat of_file {
  }, of_folder{};
  if (::lstat(file.c_str(), &of_file) != 0 || ::stat(folder.c_str(), &of_folder) != 0) return {};
  if (S_ISDIR(of_file.st_mode)) return fmt::format("{} is a folder", file);
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    return fmt::format("{} may not be written", folder);
  const uid_t me = ::geteuid();
  const bool is_mine = me == 0 || me == of_file.st_uid || me == of_folder.st_uid;
  if ((of_folder.st_mode & S_ISVTX) == 0 || is_mine) return {};
  const std::string owner = inspect::user_name(of_file.st_uid);
  return fmt::format("it belongs to {}; only {} and root may remove it from {}", owner, owner,
                     folder);
}

int rm_command(const rm_settings& wanted) {
  const std::string reason = reason_to_keep(wanted.segment);
  if (const std::string cannot = reason_it_cannot(wanted.segment); !cannot.empty())
    throw std::runtime_error(fmt::format("segment \"{}\": {}", wanted.segment, cannot));
  if (!reason.empty() && !wanted.force) {
    print_message(fmt::format("outlive rm: {} (--force removes it anyway)", reason));
    return problem_found;
  }
  if (wanted.dry_run) {
    write_result(fmt::format("would remove segment \"{}\"\n", printable(wanted.segment)));
    return success;
  }
  if (outlive::segment::unlink(wanted.segment)) return success;
  throw std::system_error(outlive::errc::not_found,
                          "segment \"" + wanted.segment + "\": it was removed meanwhile");
}

}  // namespace

void add_rm(CLI::App& tool, int& exit_code) {
  CLI::App& command = *tool.add_subcommand("rm", "Remove a segment that nobody uses");
  const auto wanted = std::make_shared<rm_settings>();
  inspect::add_segment_argument(command, wanted->segment);
  command.add_flag("--force", wanted->force, "Remove it even if it is in use or damaged");
  command.add_flag("--dry-run", wanted->dry_run, "Only print what would be done");
  command.callback([wanted, &exit_code] { exit_code = rm_command(*wanted); });
}

}  // namespace commands
