#include "top/frame.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sstream>

#include <fmt/format.h>

namespace top {

using outlive::held_lock;
using outlive::viewed_thread;

struct frame::line {
  pid_t pid = 0;
  pid_t tid = 0;  // 0: the whole process
  std::string name;
  std::optional<double> taken, waited;  // a second; none at the first look
  std::size_t holds = 0, waiting = 0;
};

namespace {

void add_to(std::optional<double>& sum, std::optional<double> more) {
  if (more) sum = sum.value_or(0) + *more;
}

cell rate(const std::optional<double>& value) {
  return value ? cell(fmt::format("{:.0f}", *value), *value) : cell::none();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream from(text);
  for (std::string line; std::getline(from, line);) all.push_back(line);
  return all;
}

}  // namespace

void frame::update(std::chrono::steady_clock::time_point now) {
  before_.clear();
  for (const viewed_thread& each : threads_)
    before_[{each.record, each.generation}] = {each.acquisitions, each.waits};
  passed_ = now - at_;
  at_ = now;
  threads_ = view_.threads();
  holds_.update(threads_, now);
}

std::vector<frame::line> frame::rates(bool by_process) const {
  std::map<std::pair<pid_t, pid_t>, line> all;
  for (const viewed_thread& each : threads_) {
    line& to = all[{each.pid, by_process ? 0 : each.tid}];
    to.pid = each.pid;
    to.tid = by_process ? 0 : each.tid;
    to.name = by_process || each.pid == each.tid ? each.command_name
                                                 : each.command_name + '/' + each.thread_name;
    if (!each.alive) to.name += " (dead)";
    to.holds += inspect::count_held(each);
    to.waiting += each.waiting_for ? 1U : 0U;
    const auto before = before_.find({each.record, each.generation});
    if (before == before_.end() || passed_.count() <= 0) continue;
    add_to(to.taken,
           static_cast<double>(each.acquisitions - before->second.acquisitions) / passed_.count());
    add_to(to.waited, static_cast<double>(each.waits - before->second.waits) / passed_.count());
  }
  std::vector<line> sorted;
  for (auto& [key, each] : all) sorted.push_back(std::move(each));
  std::stable_sort(sorted.begin(), sorted.end(), [](const line& a, const line& b) {
    return a.taken.value_or(0) > b.taken.value_or(0);
  });
  return sorted;
}

std::string frame::first_line(const terminal& on) const {
  const std::string text = printable(fmt::format(
      "segment {}{}: {} alive, {} waiting, {}, {}", view_.name(),
      view_.has_name() ? "" : " (removed)", counted(inspect::count_alive(threads_), "thread"),
      inspect::count_waiting(threads_), counted(view_.object_count(), "object"),
      counted(view_.death_count(), "owner death")));
  return coloured(cut_to(text, on.width), view_.has_name() ? tone::plain : tone::warning, on);
}

std::vector<std::string> frame::activity(const terminal& on, bool by_process) const {
  std::vector<column> columns{{"pid", "PID", align::right}};
  if (!by_process) columns.push_back({"tid", "TID", align::right});
  for (column each : std::vector<column>{{"acquired", "ACQUIRED/S", align::right},
                                         {"waited", "WAITED/S", align::right},
                                         {"holds", "HOLDS", align::right},
                                         {"waiting", "WAITING", align::right},
                                         {"name", by_process ? "PROCESS" : "THREAD"}}) {
    columns.push_back(std::move(each));
  }
  table made(columns);
  for (const line& each : rates(by_process)) {
    std::vector<cell> row{each.pid};
    if (!by_process) row.emplace_back(each.tid);
    for (cell more : {rate(each.taken), rate(each.waited), cell(each.holds), cell(each.waiting),
                      cell(each.name)})
      row.push_back(std::move(more));
    made.add(std::move(row));
  }
  return lines_of(made.as_text({}, on));
}

std::vector<std::string> frame::holders(const terminal& on) {
  struct held {
    const viewed_thread* by;
    const held_lock* what;
    std::optional<std::chrono::nanoseconds> time;
  };
  std::vector<held> all;
  for (const viewed_thread& thread : threads_) {
    for (const held_lock& hold : thread.in_hand) {
      if (hold.held) all.push_back({&thread, &hold, holds_.held_for(thread, hold.mutex_offset)});
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const held& a, const held& b) { return a.time > b.time; });
  // rows below the screen's end need no names
  if (all.size() > on.height) all.resize(on.height);
  table made({{"held_for", "HELD >=", align::right},
              {"mutex", "MUTEX"},
              {"holder", "HOLDER"},
              {"waiters", "WAITERS", align::right},
              {"acquired_at", "ACQUIRED AT", align::left, true, true}});
  for (const held& each : all) {
    const std::uint64_t offset = each.what->mutex_offset;
    const auto waiters = std::count_if(threads_.begin(), threads_.end(),
                                       [&](const auto& t) { return t.waiting_for == offset; });
    made.add({duration_cell(each.time), inspect::mutex_name(view_.lock_at(offset)),
              inspect::thread_name(*each.by) + (each.by->alive ? "" : " (dead)"), waiters,
              sources_.describe_call(each.what->acquired_at)});
  }
  return lines_of(made.as_text({}, on));
}

// The holders get at least a third of the screen, and one line below their headings; the threads
// get the rest.
std::vector<std::string> frame::lines(const terminal& on, bool by_process) {
  std::vector<std::string> all{first_line(on), ""};
  std::vector<std::string> threads = activity(on, by_process), held = holders(on);
  const std::size_t room = on.height > all.size() + 1 ? on.height - all.size() - 1 : 0;
  const std::size_t for_held =
      std::min(held.size(), std::max({room / 3, std::min<std::size_t>(room / 2, 2),
                                      room - std::min(room, threads.size())}));
  threads.resize(std::min(threads.size(), room - for_held));
  held.resize(for_held);
  all.insert(all.end(), threads.begin(), threads.end());
  all.emplace_back();
  all.insert(all.end(), held.begin(), held.end());
  return all;
}

}  // namespace top
