#include "repairs.hpp"

#include <dlfcn.h>

#include <exception>
#include <stdexcept>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "inspect.hpp"

namespace repairs {

namespace {

// dlopen searches the system's folders for a name without a slash.
std::string path_of(const std::string& file) {
  return file.find('/') == std::string::npos ? "./" + file : file;
}

void* symbol(void* library, const std::string& file, const char* name) {
  void* const found = ::dlsym(library, name);
  if (found != nullptr) return found;
  throw std::runtime_error(fmt::format(
      "{}: found no {} in it, expected a library built with <outlive/repairs_plugin.hpp>", file,
      name));
}

}  // namespace

void add_option(CLI::App& command, std::string& file) {
  command
      .add_option("--repairs", file, "Shared library with the repairs (outlive/repairs_plugin.hpp)")
      ->type_name("FILE.so");
}

void* open(const std::string& file) {
  // never closed: the repairs are in it
  void* const library = ::dlopen(path_of(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    throw std::runtime_error(
        fmt::format("{}: cannot load the library with the repairs: {}", file, ::dlerror()));
  const unsigned version =
      *static_cast<const unsigned*>(symbol(library, file, "outlive_repairs_version"));
  if (version != outlive::repairs_plugin_version) {
    throw std::runtime_error(
        fmt::format("{}: found version {} of the interface, expected {}: rebuild it", file, version,
                    outlive::repairs_plugin_version));
  }
  return library;
}

std::unique_ptr<outlive::repairs_plugin> load(outlive::segment& seg, const std::string& file) {
  auto plugin = std::make_unique<outlive::repairs_plugin>(outlive::repairs_plugin{seg, {}, {}});
  if (file.empty()) return plugin;
  void* const library = open(file);
  const auto add = reinterpret_cast<decltype(&outlive_register_repairs)>(
      symbol(library, file, "outlive_register_repairs"));
  try {
    add(*plugin);
  } catch (const std::exception& error) {
    throw std::runtime_error(
        fmt::format("{}: outlive_register_repairs() threw: {}", file, error.what()));
  } catch (...) {
    throw std::runtime_error(fmt::format(
        "{}: outlive_register_repairs() threw something other than a std::exception", file));
  }
  return plugin;
}

outlive::segment open_segment(const std::string& name) {
  const outlive::segment_view view = inspect::open(name);
  outlive::segment_options options;
  options.expected_owners = {view.owner()};  // a user who may write the file may repair
  options.mode = view.options().mode;
  return outlive::segment::open(name, options);
}

}  // namespace repairs
