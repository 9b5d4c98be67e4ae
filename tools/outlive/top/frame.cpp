#include "top/frame.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <sstream>
#include <tuple>

#include <fmt/format.h>

#include "inspect.hpp"
#include "top/help.hpp"
#include "top/layout.hpp"

namespace top {

using outlive::held_lock;
using outlive::viewed_thread;
using steady = std::chrono::steady_clock;

// A thread, or a process.
struct frame::line {
  pid_t pid = 0;
  pid_t tid = 0;  // 0: the whole process
  std::string name;
  std::optional<double> taken, waited;  // a second; none at the first look
  std::size_t holds = 0, waiting = 0;
  std::size_t blocks = 0;                        // threads that wait for what it holds
  std::optional<std::chrono::nanoseconds> time;  // of what it has held for the longest
};

// A mutex that is held or waited for.
struct frame::contended {
  std::uint64_t offset = 0;
  const viewed_thread* by = nullptr;  // nullptr: it is just changing hands
  const held_lock* what = nullptr;
  std::optional<std::chrono::nanoseconds> time;
  std::size_t waiters = 0;
  std::string name;  // only if the order or the filter needs it
};

// A section of the screen.
struct frame::part {
  section which = section::threads;
  std::string heading;
  std::vector<std::string> rows;
  std::size_t count = 0;  // of all rows: those far below the screen's end are not made
};

namespace {

void add_to(std::optional<double>& sum, std::optional<double> more) {
  if (more) sum = sum.value_or(0) + *more;
}

cell rate(const std::optional<double>& value) {
  return value ? cell(fmt::format("{:.0f}", *value), *value) : cell::none();
}

std::string lower(std::string_view text) {
  std::string made(text);
  for (char& each : made) each = static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
  return made;
}

bool contains(std::string_view text, const std::string& filter) {
  return filter.empty() || lower(text).find(lower(filter)) != std::string::npos;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream from(text);
  for (std::string line; std::getline(from, line);) all.push_back(line);
  return all;
}

}  // namespace

void frame::update(steady::time_point now) {
  before_.clear();
  for (const viewed_thread& each : threads_)
    before_[{each.record, each.generation}] = {each.acquisitions, each.waits};
  passed_ = at_ ? std::chrono::duration<double>(now - *at_) : std::chrono::duration<double>(0);
  at_ = now;
  threads_ = view_.threads();
  holds_.update(threads_, now);
  waiters_.clear();
  for (const viewed_thread& each : threads_) {
    if (each.waiting_for) ++waiters_[*each.waiting_for];
  }
  const std::uint64_t deaths = view_.death_count();
  deaths_.reset();
  if (passed_.count() > 0) deaths_ = static_cast<double>(deaths - death_count_) / passed_.count();
  death_count_ = deaths;
  update_companions(now);
}

// Finding the queues walks all objects: of a large segment not at each look.
void frame::update_companions(steady::time_point now) {
  if (now < next_companions_) return;
  const auto begun = steady::now();
  companions_.read(view_);
  next_companions_ = now + 20 * (steady::now() - begun);
}

std::vector<frame::line> frame::rates(const wishes& wanted) const {
  std::map<std::pair<pid_t, pid_t>, line> all;
  for (const viewed_thread& each : threads_) {
    line& to = all[{each.pid, wanted.by_process ? 0 : each.tid}];
    to.pid = each.pid;
    to.tid = wanted.by_process ? 0 : each.tid;
    to.name = wanted.by_process || each.pid == each.tid
                  ? each.command_name
                  : each.command_name + '/' + each.thread_name;
    if (!each.alive) to.name += " (dead)";
    to.waiting += each.waiting_for ? 1U : 0U;
    for (const held_lock& hold : each.in_hand) {
      if (!hold.held) continue;
      ++to.holds;
      const auto waiters = waiters_.find(hold.mutex_offset);
      if (waiters != waiters_.end()) to.blocks += waiters->second;
      to.time = std::max(to.time, holds_.held_for(each, hold.mutex_offset));
    }
    if (passed_.count() <= 0) continue;
    // A thread that was not there at the last look began at 0.
    const auto found = before_.find({each.record, each.generation});
    const counters before = found == before_.end() ? counters{} : found->second;
    add_to(to.taken,
           static_cast<double>(each.acquisitions - before.acquisitions) / passed_.count());
    add_to(to.waited, static_cast<double>(each.waits - before.waits) / passed_.count());
  }
  std::vector<line> sorted;
  for (auto& [key, each] : all) sorted.push_back(std::move(each));
  const auto rank = [&](const line& of) {
    const double taken = of.taken.value_or(0);
    switch (wanted.by) {
      case order::waiters:
        return std::tuple(static_cast<double>(of.blocks), static_cast<double>(of.waiting), taken);
      case order::time:
        return std::tuple(
            static_cast<double>(of.time.value_or(std::chrono::nanoseconds(0)).count()),
            static_cast<double>(of.holds), taken);
      case order::rate: return std::tuple(taken, of.waited.value_or(0), 0.0);
      case order::name: break;
    }
    return std::tuple(0.0, 0.0, 0.0);
  };
  std::stable_sort(sorted.begin(), sorted.end(), [&](const line& a, const line& b) {
    if (wanted.by == order::name && a.name != b.name) return a.name < b.name;
    return rank(a) > rank(b);
  });
  return sorted;
}

std::vector<frame::contended> frame::mutexes(const wishes& wanted) {
  std::vector<contended> all;
  auto left = waiters_;
  for (const viewed_thread& thread : threads_) {
    for (const held_lock& hold : thread.in_hand) {
      if (!hold.held) continue;
      const auto waiters = waiters_.find(hold.mutex_offset);
      all.push_back({hold.mutex_offset,
                     &thread,
                     &hold,
                     holds_.held_for(thread, hold.mutex_offset),
                     waiters == waiters_.end() ? 0 : waiters->second,
                     {}});
      left.erase(hold.mutex_offset);
    }
  }
  for (const auto& [offset, count] : left) all.push_back({offset, nullptr, nullptr, {}, count, {}});
  if (wanted.by == order::name || !wanted.filter.empty()) {
    for (contended& each : all) each.name = inspect::mutex_name(view_.lock_at(each.offset));
  }
  std::stable_sort(all.begin(), all.end(), [&](const contended& a, const contended& b) {
    if (wanted.by == order::name) return a.name < b.name;
    if (wanted.by == order::time) return std::tie(a.time, a.waiters) > std::tie(b.time, b.waiters);
    return std::tie(a.waiters, a.time) > std::tie(b.waiters, b.time);
  });
  return all;
}

std::string frame::first_line(const terminal& on) const {
  const std::string text = printable(fmt::format(
      "segment {}{}: {} alive, {} waiting, {}, {}", view_.name(),
      view_.has_name() ? "" : " (removed)", counted(inspect::count_alive(threads_), "thread"),
      inspect::count_waiting(threads_), counted(view_.object_count(), "object"),
      counted(death_count_, "owner death")));
  return coloured(cut_to(text, on.width), view_.has_name() ? tone::plain : tone::warning, on);
}

std::string frame::totals(const terminal& on) const {
  std::optional<double> taken, waited;
  for (const line& each : rates({})) {
    add_to(taken, each.taken);
    add_to(waited, each.waited);
  }
  if (!deaths_) return cut_to("no rates before the second look", on.width);
  return cut_to(fmt::format("a second: {:.0f} acquired, {:.0f} waited for, {:.1f} deaths",
                            taken.value_or(0), waited.value_or(0), *deaths_),
                on.width);
}

frame::part frame::activity(const terminal& on, const wishes& wanted) const {
  std::vector<column> columns{{"pid", "PID", align::right}};
  if (!wanted.by_process) columns.push_back({"tid", "TID", align::right});
  for (column each : std::vector<column>{{"acquired", "ACQUIRED/S", align::right},
                                         {"waited", "WAITED/S", align::right},
                                         {"holds", "HOLDS", align::right},
                                         {"waiting", "WAITING", align::right},
                                         {"name", wanted.by_process ? "PROCESS" : "THREAD"}}) {
    columns.push_back(std::move(each));
  }
  table made(columns);
  std::size_t count = 0;
  for (const line& each : rates(wanted)) {
    if (!contains(fmt::format("{} {} {}", each.pid, each.tid, each.name), wanted.filter)) continue;
    std::vector<cell> row{each.pid};
    if (!wanted.by_process) row.emplace_back(each.tid);
    for (cell more : {rate(each.taken), rate(each.waited), cell(each.holds), cell(each.waiting),
                      cell(each.name)})
      row.push_back(std::move(more));
    made.add(std::move(row));
    ++count;
  }
  auto lines = lines_of(made.as_text({}, on));
  part found{section::threads, lines[0], {}, count};
  found.rows.assign(lines.begin() + 1, lines.end());
  return found;
}

frame::part frame::holders(const terminal& on, const wishes& wanted) {
  table made({{"waiters", "WAITERS", align::right},
              {"held_for", "HELD >=", align::right},
              {"mutex", "MUTEX"},
              {"holder", "HOLDER"},
              {"acquired_at", "ACQUIRED AT"}});
  const auto first = wanted.first.find(section::mutexes);
  const std::size_t enough = on.height + (first == wanted.first.end() ? 0 : first->second);
  const auto all = mutexes(wanted);
  std::size_t count = 0;
  for (const contended& each : all) {
    const std::string by = each.by == nullptr
                               ? std::string()
                               : inspect::thread_name(*each.by) + (each.by->alive ? "" : " (dead)");
    if (!contains(each.name + ' ' + by, wanted.filter)) continue;
    // Rows below the screen's end need no names.
    if (count++ >= enough && wanted.filter.empty()) continue;
    made.add({cell(each.waiters).in(each.waiters == 0 ? tone::plain : tone::warning),
              duration_cell(each.time),
              each.name.empty() ? inspect::mutex_name(view_.lock_at(each.offset)) : each.name, by,
              each.what == nullptr ? "" : sources_.describe_call(each.what->acquired_at)});
  }
  auto lines = lines_of(made.as_text({}, on));
  part found{section::mutexes, lines[0], {}, count};
  found.rows.assign(lines.begin() + 1, lines.end());
  return found;
}

std::vector<frame::part> frame::parts(const terminal& on, const wishes& wanted) {
  std::vector<part> all;
  all.push_back(activity(on, wanted));
  all.push_back(holders(on, wanted));
  const auto add = [&](section which, const table& from) {
    if (from.empty()) return;
    auto lines = lines_of(from.as_text({}, on));
    part made{which, lines[0], {}, 0};
    for (std::size_t i = 1; i < lines.size(); ++i) {
      if (contains(lines[i], wanted.filter)) made.rows.push_back(lines[i]);
    }
    made.count = made.rows.size();
    all.push_back(std::move(made));
  };
  add(section::queues, companions::queue_table(companions_));
  add(section::permits, companions::pool_table(companions_));
  return all;
}

std::string frame::last_line(const terminal& on, const wishes& wanted,
                             const std::vector<part>& parts) const {
  if (wanted.typing) return cut_front_to(fmt::format("/{}_", printable(wanted.filter)), on.width);
  std::string text = "? help  q quit  s sorted by " + std::string(to_string(wanted.by));
  text += wanted.filter.empty() ? "  / filter" : "  / only " + printable(wanted.filter);
  for (const part& each : parts) {
    if (each.which != wanted.scrolled) continue;
    const auto at = wanted.first.find(each.which);
    const std::size_t first = at == wanted.first.end() ? 0 : at->second;
    text += fmt::format("  {} {} of {}", to_string(each.which), each.count == 0 ? 0 : first + 1,
                        each.count);
  }
  return coloured(cut_to(text, on.width), tone::dim, on);
}

std::vector<std::string> frame::lines(const terminal& on, wishes& wanted) {
  std::vector<std::string> all{first_line(on)};
  if (on.height > 5) all.push_back(totals(on));
  const bool is_low = on.height < 12;
  if (!is_low) all.emplace_back();
  if (wanted.help) {
    for (const std::string& each : help_lines()) all.push_back(cut_to(each, on.width));
    all.resize(std::min(all.size(), on.height));
    return all;
  }
  const std::size_t below = is_low ? 0 : 1;
  std::vector<part> sections = parts(on, wanted);
  // Tab also goes to sections that this segment does not have.
  while (std::none_of(sections.begin(), sections.end(),
                      [&](const part& each) { return each.which == wanted.scrolled; }))
    wanted.scrolled =
        static_cast<section>((static_cast<std::size_t>(wanted.scrolled) + 1) % section_count);
  std::vector<std::size_t> sizes;
  for (const part& each : sections) sizes.push_back(each.count);
  const std::size_t room = on.height - std::min(on.height, all.size() + below);
  const std::vector<std::size_t> rows = share_rows(sizes, room);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const part& each = sections[i];
    const std::size_t shown = std::min(rows[i], each.count);
    std::size_t& first = wanted.first[each.which];
    first = std::min(first, each.count - shown);
    if (i != 0) all.emplace_back();
    all.push_back(each.heading);
    for (std::size_t row = first; row < first + shown && row < each.rows.size(); ++row)
      all.push_back(each.rows[row]);
  }
  all.resize(std::min(all.size(), on.height - std::min(on.height, below)));
  if (below != 0) {
    all.resize(on.height - 1);
    all.push_back(last_line(on, wanted, sections));
  }
  return all;
}

}  // namespace top
