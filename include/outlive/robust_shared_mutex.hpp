// robust_shared_mutex: a mutex in a segment that many threads can hold shared, or one alone. It
// survives the death of either.
//
// glibc's process-shared rwlock counts its readers: a reader that is killed inside leaves its count
// for ever, and writers wait for it (hazard A61). Here a dead reader needs no repair. A dead writer
// is an owner death as with a robust_mutex, with the same repairs, conditions and attempts.
//
// It satisfies SharedLockable and SharedTimedLockable, so std::shared_lock, std::unique_lock and
// std::scoped_lock (together with robust_mutexes, too) work with it. Most programs should use
// outlive::guarded<T, outlive::robust_shared_mutex>.
//
//   namespace ol = outlive;
//   auto seg = ol::segment::open_or_create("stock");
//   auto repair = ol::on_owner_death<prices, ol::robust_shared_mutex>(seg, "prices", mend);
//   using shared_prices = ol::guarded<prices, ol::robust_shared_mutex>;
//   auto& table = seg.find_or_construct<shared_prices>("prices", "prices");
//   { auto x = table.lock_shared(); use(x->ask); }  // beside other readers
//   { auto x = table.lock(); x->ask = 5; }          // alone
//
// Invalid, and refused with an error instead of undefined behaviour:
//   - what is invalid with a robust_mutex
//   - lock() by a thread that holds the mutex shared, and lock_shared() by the thread that holds it
//     alone (errc::deadlock)
//   - unlock_shared() by a thread that does not hold it shared
// Allowed, unlike with std::shared_mutex: lock_shared() by a thread that already holds it shared,
// as often as there is room.
//
// What a death leaves:
//
//   killed                               what is left
//   -----------------------------------  ---------------------------------------------------------
//   reader, anywhere                     the hold of a dead thread, which is void. A writer that
//                                          waits for the reader looks again within 250 ms
//   writer, waiting for readers to       a free mutex that is still closed to readers. The next
//     leave                                reader or writer opens it. No repair is due: nothing
//                                          was changed
//   writer, inside                       an owner death. The next reader or writer is the heir: it
//                                          repairs alone, as with a robust_mutex
//   writer, on its way out               as waiting for readers
//   writer, in downgrade()               as a writer inside, or as a reader
//
// Reading is cheap. Writing costs a system call, membarrier. segment_options::readers =
// reader_marks::locked makes reading more expensive and writing cheaper; it is needed if a seccomp
// filter forbids membarrier. A reader does not count for segment_options::max_held.
//
// Nobody starves: while a writer waits no reader enters, and a writer lets readers that wait for
// the mutex go first, for 250 ms at most. try_lock() does not wait for them.
//
// A supervisor reports writers that hang. It does not report readers that hang, nor a deadlock
// through a reader. segment_view counts the readers.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <utility>

#include <outlive/detail/deadline.hpp>
#include <outlive/detail/export.hpp>
#include <outlive/repair.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/shared_type.hpp>

namespace outlive {

namespace detail {
struct shared_lock_access;
}

class robust_shared_mutex {
 public:
  // Makes a free, consistent mutex of lock class `lock_class`. Requires and errors: as
  // robust_mutex's constructor; std::errc::value_too_large beyond the first 128 GiB of a segment.
  OUTLIVE_API explicit robust_shared_mutex(std::string_view lock_class);
  // The same as part of a guarded<T, robust_shared_mutex>.
  OUTLIVE_API robust_shared_mutex(std::string_view lock_class, const detail::guarded_type& guards);

  // Marks the memory as no longer a mutex. Requires: no thread holds it or waits for it.
  OUTLIVE_API ~robust_shared_mutex();

  robust_shared_mutex(const robust_shared_mutex&) = delete;
  robust_shared_mutex& operator=(const robust_shared_mutex&) = delete;

  // ---- alone ----

  // Acquires the mutex alone. After a writer's death it first runs the repair, by the table in
  // robust_mutex.hpp.
  // Errors: as robust_mutex::lock(); deadlock also if the caller holds it shared; no_membarrier. On
  //   every error the caller does not hold the mutex.
  // Blocks: until the mutex is free, the readers that have waited for it longer have gone first,
  //   and the readers inside have left. While it waits for those, no further reader enters.
  // After fork: the child holds nothing, neither alone nor shared.
  // Signal-safe: no. Order: synchronises with the unlock() and unlock_shared() of the former
  //   holders, or with all that they did before they died.
  OUTLIVE_API void lock();
  OUTLIVE_API void lock(std::error_code& error);

  // As lock(), without waiting. It is allowed inside a repair. Now and then it looks for an owner
  // that the kernel did not mark, as robust_mutex::try_lock() does.
  // Returns: false if a thread holds the mutex, alone or shared, the caller included, or if `error`
  //   was set.
  [[nodiscard]] OUTLIVE_API bool try_lock();
  [[nodiscard]] OUTLIVE_API bool try_lock(std::error_code& error);

  // As lock(), but returns false if it could not acquire the mutex in time. Readers that were kept
  // out meanwhile then enter again. The times: as robust_mutex::try_lock_for().
  [[nodiscard]] OUTLIVE_API bool try_lock_for(const detail::deadline& timeout);
  [[nodiscard]] OUTLIVE_API bool try_lock_for(const detail::deadline& timeout,
                                              std::error_code& error);
  [[nodiscard, gnu::always_inline]] bool try_lock_until(const detail::deadline& deadline) {
    return try_lock_for(deadline);
  }
  [[nodiscard, gnu::always_inline]] bool try_lock_until(const detail::deadline& deadline,
                                                        std::error_code& error) {
    return try_lock_for(deadline, error);
  }

  // As lock() and try_lock_for(), until stop is requested. Returns: as robust_mutex::lock(stop).
  [[nodiscard, gnu::always_inline]] bool lock(const std::stop_token& stop) {
    return try_lock_for(detail::deadline(detail::no_limit, stop));
  }
  [[nodiscard, gnu::always_inline]] bool lock(const std::stop_token& stop, std::error_code& error) {
    return try_lock_for(detail::deadline(detail::no_limit, stop), error);
  }
  [[nodiscard, gnu::always_inline]] bool try_lock_for(const detail::deadline& timeout,
                                                      const std::stop_token& stop) {
    return try_lock_for(detail::deadline(timeout, stop));
  }
  [[nodiscard, gnu::always_inline]] bool try_lock_until(const detail::deadline& deadline,
                                                        const std::stop_token& stop) {
    return try_lock_for(deadline, stop);
  }

  // Releases the mutex. Errors: errc::not_owner, before anything is stored, if the calling thread
  // does not hold it alone.
  OUTLIVE_API void unlock();
  OUTLIVE_API void unlock(std::error_code& error) noexcept;

  // Makes a hold alone a shared one, which unlock_shared() ends: what this thread has written it
  // goes on to read, and no other writer comes in between. Readers that wait come in.
  // Errors: errc::not_owner, if the calling thread does not hold it alone; too_many_locks and
  //   no_membarrier as lock_shared(). Then it holds the mutex alone as before.
  // Blocks: never. On death: as a writer inside, or as a reader. There is no way back: two readers
  //   that both wanted it would wait for each other.
  OUTLIVE_API void downgrade();
  OUTLIVE_API void downgrade(std::error_code& error) noexcept;

  // ---- shared ----

  // Acquires the mutex shared. After a writer's death it first runs the repair, alone.
  // Errors: as lock(), but deadlock only if the caller holds it alone; too_many_locks if this
  //   thread holds 16 others shared that need the same room (32 at most, fewer where they lie
  //   unfavourably).
  // Blocks: until no writer is inside or waits for readers to leave. A thread that already holds it
  //   shared acquires it at once.
  // On death: nothing needs to be repaired or recovered. A thread that ends while it holds the
  //   mutex shared counts as dead.
  // After fork: the child holds nothing. Signal-safe: no.
  // Order: synchronises with the unlock() of the last writer, or with all that it and its heirs did
  //   before they died.
  OUTLIVE_API void lock_shared();
  OUTLIVE_API void lock_shared(std::error_code& error);

  // As lock_shared(), without waiting. Returns: as try_lock().
  [[nodiscard]] OUTLIVE_API bool try_lock_shared();
  [[nodiscard]] OUTLIVE_API bool try_lock_shared(std::error_code& error);

  // As lock_shared(), but returns false if it could not acquire the mutex in time.
  [[nodiscard]] OUTLIVE_API bool try_lock_shared_for(const detail::deadline& timeout);
  [[nodiscard]] OUTLIVE_API bool try_lock_shared_for(const detail::deadline& timeout,
                                                     std::error_code& error);
  [[nodiscard, gnu::always_inline]] bool try_lock_shared_until(const detail::deadline& deadline) {
    return try_lock_shared_for(deadline);
  }
  [[nodiscard, gnu::always_inline]] bool try_lock_shared_until(const detail::deadline& deadline,
                                                               std::error_code& error) {
    return try_lock_shared_for(deadline, error);
  }

  // As lock_shared() and try_lock_shared_for(), until stop is requested. Returns: as lock(stop).
  [[nodiscard, gnu::always_inline]] bool lock_shared(const std::stop_token& stop) {
    return try_lock_shared_for(detail::deadline(detail::no_limit, stop));
  }
  [[nodiscard, gnu::always_inline]] bool lock_shared(const std::stop_token& stop,
                                                     std::error_code& error) {
    return try_lock_shared_for(detail::deadline(detail::no_limit, stop), error);
  }
  [[nodiscard, gnu::always_inline]] bool try_lock_shared_for(const detail::deadline& timeout,
                                                             const std::stop_token& stop) {
    return try_lock_shared_for(detail::deadline(timeout, stop));
  }
  [[nodiscard, gnu::always_inline]] bool try_lock_shared_until(const detail::deadline& deadline,
                                                               const std::stop_token& stop) {
    return try_lock_shared_for(deadline, stop);
  }

  // Releases one hold. Errors: errc::not_owner, before anything is stored, if the calling thread
  // does not hold it shared.
  OUTLIVE_API void unlock_shared();
  OUTLIVE_API void unlock_shared(std::error_code& error) noexcept;

  // Returns: whether the calling thread holds the mutex alone and ran a repair when it acquired it.
  [[nodiscard]] bool recovered() const noexcept { return writers_.recovered(); }
  // Returns: the lock class given at construction; "unknown" if the segment's table does not have
  //   it.
  [[nodiscard]] std::string_view lock_class() const noexcept { return writers_.lock_class(); }
  // Returns: the mutex of the writers, which reports of deaths and repairs name. Compare it, or
  //   pass it to reset(); do not lock it.
  [[nodiscard]] const robust_mutex& writers() const noexcept { return writers_; }

 private:
  friend struct detail::shared_lock_access;
  template <class, class>
  friend class guarded;

  // unlock() and unlock_shared() for destructors: do nothing if the calling thread does not hold
  // the mutex.
  OUTLIVE_API void release() noexcept;
  OUTLIVE_API void release_shared() noexcept;

  // The shared bytes (docs/format.md).
  robust_mutex writers_;
  alignas(64) std::atomic<std::uint32_t> gate_;
  std::atomic<std::uint32_t> waiting_readers_;
};

// Registers the repair of one shared mutex, as for a robust_mutex (repair.hpp).
inline repair_registration on_owner_death(const robust_shared_mutex& mutex,
                                          repair_callback callback) {
  return on_owner_death(mutex.writers(), std::move(callback));
}

template <>
inline constexpr bool shareable<robust_shared_mutex> = true;

}  // namespace outlive
