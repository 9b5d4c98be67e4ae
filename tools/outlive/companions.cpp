#include "companions.hpp"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

#include "inspect.hpp"

namespace companions {

namespace {

using outlive::viewed_job;
using outlive::viewed_job_state;
using outlive::viewed_permit_pool;
using outlive::viewed_queue;

std::string holder_text(const viewed_permit_pool::holder& by,
                        std::optional<std::chrono::nanoseconds> time) {
  std::string text = by.known ? inspect::thread_name(by) : "unknown";
  if (by.permits != 1) text += fmt::format(" ({})", by.permits);
  if (time) text += " >= " + duration_text(*time);
  return text;
}

cell holders_cell(const viewed_permit_pool& pool, const look& in) {
  std::vector<std::string> names;
  auto list = nlohmann::json::array();
  for (const auto& each : pool.holders) {
    const auto time = in.permits.held_for(each.hold);
    names.push_back(holder_text(each, time));
    list.push_back({{"pid", each.pid},
                    {"tid", each.tid},
                    {"command", each.command_name},
                    {"thread", each.thread_name},
                    {"permits", each.permits},
                    {"held_for_seconds", duration_cell(time).value}});
  }
  return {names.empty() ? "-" : fmt::format("{}", fmt::join(names, ", ")), list};
}

cell died_cell(const viewed_job& job) {
  std::vector<std::string> names;
  auto list = nlohmann::json::array();
  for (const outlive::job_holder& each : job.died_on_it) {
    names.push_back(!each.known            ? "unknown"
                    : each.pid == each.tid ? std::to_string(each.pid)
                                           : fmt::format("{}/{}", each.pid, each.tid));
    list.push_back(each.known ? nlohmann::json{{"pid", each.pid}, {"tid", each.tid}} : nullptr);
  }
  return {fmt::format("{}", fmt::join(names, ", ")), list};
}

tone tone_of(viewed_job_state state) {
  return state == viewed_job_state::dead_letter || state == viewed_job_state::examined
             ? tone::bad
             : tone::plain;
}

}  // namespace

void look::read(const outlive::segment_view& view) {
  queues = view.queues();
  pools = view.permit_pools();
  std::vector<outlive::hold_times::hold> held;
  for (const viewed_queue& queue : queues) {
    for (const viewed_job& job : queue.jobs) {
      if (job.state == viewed_job_state::leased) held.push_back(job.hold);
    }
  }
  leases.update(held, std::chrono::steady_clock::now());
  std::vector<outlive::hold_times::hold> with_permits;
  for (const viewed_permit_pool& pool : pools) {
    for (const auto& each : pool.holders) with_permits.push_back(each.hold);
  }
  permits.update(with_permits, std::chrono::steady_clock::now());
}

lease oldest_lease(const viewed_queue& queue, const look& in) {
  lease oldest;
  for (const viewed_job& job : queue.jobs) {
    if (job.state != viewed_job_state::leased) continue;
    const auto time = in.leases.held_for(job.hold);
    if (oldest.job == nullptr || time > oldest.time) oldest = {&job, time};
  }
  return oldest;
}

std::size_t count_hung(const viewed_queue& queue, const look& in) {
  return static_cast<std::size_t>(
      std::count_if(queue.jobs.begin(), queue.jobs.end(), [&](const viewed_job& job) {
        return job.state == viewed_job_state::leased && in.leases.held_for(job.hold);
      }));
}

table queue_table(const look& of) {
  std::vector<column> columns{{"queue", "QUEUE"},
                              {"closed", "STATE"},
                              {"waiting", "WAITING", align::right},
                              {"leased", "LEASED", align::right},
                              {"dead_letters", "DEAD LETTERS", align::right},
                              {"capacity", "CAPACITY", align::right},
                              {"oldest_lease_seconds", "LEASED >=", align::right},
                              {"oldest_lease_holder", "OLDEST LEASE"},
                              {"oldest_lease_pid", "PID", align::right, false},
                              {"oldest_lease_tid", "TID", align::right, false},
                              {"oldest_lease_tries", "TRIES", align::right, false},
                              {"max_tries", "MAX TRIES", align::right, false},
                              {"job_bytes", "JOB", align::right, false},
                              {"lease_limit_seconds", "LIMIT", align::right, false}};
  mark_columns(columns, &column::may_go, {"capacity"});
  table made(columns);
  for (const viewed_queue& each : of.queues) {
    const lease oldest = oldest_lease(each, of);
    const auto* const holder = oldest.job == nullptr ? nullptr : &oldest.job->holder;
    const bool is_known = holder != nullptr && holder->known;
    made.add(
        {name_of(each), cell(each.closed ? "closed" : "open", each.closed), each.waiting,
         each.leased, cell(each.dead_letters).in(each.dead_letters == 0 ? tone::plain : tone::bad),
         each.capacity, duration_cell(oldest.time),
         is_known ? cell(inspect::thread_name(*holder)) : cell::none(),
         is_known ? cell(holder->pid) : cell::none(), is_known ? cell(holder->tid) : cell::none(),
         oldest.job != nullptr ? cell(oldest.job->tries) : cell::none(), each.max_tries,
         each.job_bytes,
         each.lease_limit.count() == 0 ? cell::none() : duration_cell(each.lease_limit)});
  }
  return made;
}

table pool_table(const look& of) {
  std::vector<column> columns{{"pool", "PERMITS"},
                              {"permits", "ALL", align::right},
                              {"free", "FREE", align::right},
                              {"abandoned", "OF THE DEAD", align::right},
                              {"holders", "HOLDERS"}};
  columns.back().wraps = true;
  table made(columns);
  for (const viewed_permit_pool& each : of.pools)
    made.add({name_of(each), each.permits, each.free, each.abandoned, holders_cell(each, of)});
  return made;
}

std::vector<column> fatal_job_columns() {
  return {{"queue", "QUEUE"},
          {"slot", "SLOT", align::right},
          {"state", "JOB"},
          {"tries", "TRIES", align::right},
          {"max_tries", "OF", align::right},
          {"died_on_it", "DIED ON IT"},
          {"holder", "HAS IT NOW"}};
}

table fatal_job_table(const std::vector<viewed_queue>& queues) {
  table made(fatal_job_columns());
  for (const viewed_queue& queue : queues) {
    for (const viewed_job& job : queue.jobs) {
      if (job.died_on_it.empty()) continue;
      made.add({name_of(queue), job.slot, cell(to_string(job.state)).in(tone_of(job.state)),
                job.tries, queue.max_tries, died_cell(job),
                job.holder.known ? inspect::thread_name(job.holder) : std::string()});
    }
  }
  return made;
}

}  // namespace companions
