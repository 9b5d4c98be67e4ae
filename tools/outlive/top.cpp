// outlive top: which threads acquire and hold a segment's mutexes, live. docs/man/outlive-top.1.scd
#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>

#include "arguments.hpp"
#include "commands.hpp"
#include "inspect.hpp"
#include "top/frame.hpp"
#include "top/screen.hpp"
#include "top/wishes.hpp"

namespace commands {

namespace {

using steady = std::chrono::steady_clock;

int top_command(const std::string& segment, std::chrono::nanoseconds every) {
  const outlive::segment_view view = inspect::open(segment);
  top::frame frame(view);
  top::screen screen;
  top::wishes wanted;
  for (;;) {
    const auto now = steady::now();
    frame.update(now);
    const auto next = now + every;
    do {
      screen.draw(frame.lines(screen.size(), wanted));
      const auto event = screen.wait(next - steady::now());
      if (event.signal != 0) return 128 + event.signal;
      if (event.closed) return success;
      const auto done = wanted.press(event.key, screen.size().height / 2);
      if (done == top::wishes::result::quit) return success;
      if (done == top::wishes::result::update) break;
    } while (steady::now() < next);
  }
}

}  // namespace

void add_top(CLI::App& tool, int& exit_code) {
  CLI::App& command =
      *tool.add_subcommand("top", "Show live which threads acquire and hold a segment's mutexes");
  const auto segment = std::make_shared<std::string>();
  const auto every = std::make_shared<std::chrono::nanoseconds>(std::chrono::seconds(1));
  inspect::add_segment_argument(command, *segment);
  add_duration_option(command, "--every", *every, "Time between two looks, at least 50ms [1s]");
  command.footer(
      "Keys: q quits, p shows processes instead of threads, s sorts by something else, / shows "
      "only "
      "lines with a text, tab and arrows scroll, space looks at once, ? says more.");
  command.callback([=, &exit_code] {
    exit_code = top_command(
        *segment, std::max<std::chrono::nanoseconds>(*every, std::chrono::milliseconds(50)));
  });
}

}  // namespace commands
