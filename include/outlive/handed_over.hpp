// handed_over: a lease, dead letter or permit on its way from the thread that has it to another
// thread of the process. A dispatcher pops, and a pool does the work:
//
//   auto job = jobs.pop();                                     // in the dispatcher
//   pool.run([handed = job.hand_over()]() mutable {
//     if (auto mine = handed.take()) { work(*mine); mine.done(); }  // in a thread of the pool
//   });
//
// Until take() the job or permit is the first thread's, and after it the second one's. Whichever of
// them has it, its death is seen as ever:
//
//   ended or killed               what is left
//   ----------------------------  ---------------------------------------------------------------
//   the first, before take()      a job or permit of a dead thread. take() still gets it, unless
//                                   another thread, perhaps of another process, was first
//   the second, before take()     what the first has. If only the thread ended, this object has
//                                   ended with it, or is somebody else's
//   either, in take()             the same as before take(), or as after it: one exchange of a word
//                                   lies between, so that no death leaves it with both, or neither
//   the second, after take()      a job or permit of a dead thread
//   the first, after take()       nothing: it has nothing to do with it any more
//
// A supervisor knows that the first thread has something on its way: on_deadlock() does not take it
// for the one that must return a permit, and hung_owner::may_be_on_its_way says so.
//
// So a thread that hands over a job and ends should not end before the other has taken it. The
// object itself is plain memory of this process, and can be moved to any thread. If it ends without
// take(), the job or permit is returned, in whatever thread that is.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <memory>
#include <utility>

#include <outlive/detail/export.hpp>

namespace outlive {

namespace detail {
// What a thread shares with the objects that it has handed over.
struct handing;
}  // namespace detail

// `Hold`: lease<T>, dead_letter<T> or permit.
template <class Hold>
class [[nodiscard]] handed_over {
 public:
  handed_over() noexcept = default;
  handed_over(handed_over&& other) noexcept
      : what_(std::exchange(other.what_, {})), by_(std::exchange(other.by_, nullptr)) {}
  handed_over& operator=(handed_over&& other) noexcept {
    if (this != &other) {
      drop();
      what_ = std::exchange(other.what_, {});
      by_ = std::exchange(other.by_, nullptr);
    }
    return *this;
  }
  // Returns the job or permit, if it was not taken and no other thread got it after the death of
  // the first one, or because its time was over. The try does not count.
  // Requires: no other thread uses this object. Errors: none. Blocks: no.
  // After fork: nothing happens in the child, whose copy is void.
  ~handed_over() { drop(); }

  // Returns: whether there is something to take: false after take(), and after a move.
  explicit operator bool() const noexcept { return by_ != nullptr; }

  // Makes the calling thread the holder. The try of a job goes on; it is no new one.
  // Requires: no other thread uses this object.
  // Returns: the hold; an empty one if another thread got the job or permit, because the first
  //   thread had ended or because the time of the lease was over, or if there is nothing to take.
  // Errors: errc::in_repair; errc::not_owner in a forked child; at a thread's first use of the
  //   segment also those of robust_mutex::lock(). Then this object still has it.
  // Blocks: at a thread's first use of the segment, as robust_mutex::lock() does.
  // On death: the table above.
  // After fork: the parent's object works as before. The child's copy is void, and it reads as one
  //   that has something to take.
  // Order: synchronises with nothing by itself; whatever moved this object here does.
  // Signal-safe: no.
  [[nodiscard]] Hold take() {
    if (by_ == nullptr) return Hold();
    Hold mine(take_over(what_, *by_));
    by_ = nullptr;
    what_ = {};
    return mine;
  }

 private:
  friend Hold;
  using held = typename Hold::held_type;
  handed_over(const held& what, std::shared_ptr<detail::handing> by) noexcept
      : what_(what), by_(std::move(by)) {}
  // As give_back(), with no try. Does nothing in a forked child.
  void drop() noexcept {
    if (const auto by = std::exchange(by_, nullptr)) return_handed(std::exchange(what_, {}), *by);
  }
  held what_{};
  std::shared_ptr<detail::handing> by_;
};

}  // namespace outlive
