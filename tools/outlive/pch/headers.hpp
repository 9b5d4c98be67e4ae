// What nearly every command includes, compiled once for all of them: CLI11 and nlohmann-json are headers alone. A file still includes what it uses.
// No guard: it is the main file of its own compilation, and included first by the compiler alone.

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>
