// All of outlive's headers.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <outlive/crash_barrier.hpp>
#include <outlive/crash_report.hpp>
#include <outlive/death_log.hpp>
#include <outlive/error.hpp>
#include <outlive/event.hpp>
#include <outlive/guarded.hpp>
#include <outlive/handed_over.hpp>
#include <outlive/job_lease.hpp>
#include <outlive/kill_point.hpp>
#include <outlive/lock.hpp>
#include <outlive/misuse.hpp>
#include <outlive/note.hpp>
#include <outlive/notify_descriptor.hpp>
#include <outlive/owner_death.hpp>
#include <outlive/permit_pool.hpp>
#include <outlive/recover.hpp>
#include <outlive/repair.hpp>
#include <outlive/reset.hpp>
#include <outlive/robust_condition_variable.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/robust_shared_mutex.hpp>
#include <outlive/segment.hpp>
#include <outlive/shared_type.hpp>
#include <outlive/supervisor.hpp>
#include <outlive/thread_identity.hpp>
#include <outlive/thread_stack.hpp>
#include <outlive/version.hpp>
#include <outlive/work_queue.hpp>
