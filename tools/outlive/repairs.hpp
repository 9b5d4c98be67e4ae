// The user's repairs, from a shared library: <outlive/repairs_plugin.hpp>.
#pragma once

#include <memory>
#include <string>

#include <outlive/repairs_plugin.hpp>

namespace CLI {
class App;
}

namespace repairs {

// Adds --repairs FILE.
void add_option(CLI::App& command, std::string& file);

// Loads the library, and registers nothing yet. Errors: as load(), except those of its function.
void* open(const std::string& file);

// Loads the library and has it register its repairs for the segment. No file: no repairs.
// Errors: std::runtime_error when it does not load, is no such library or is of another version, or
//   when its function throws.
[[nodiscard]] std::unique_ptr<outlive::repairs_plugin> load(outlive::segment& seg,
                                                            const std::string& file);

// Opens the segment of any user, to repair it. Errors: as outlive::segment::open().
[[nodiscard]] outlive::segment open_segment(const std::string& name);

}  // namespace repairs
