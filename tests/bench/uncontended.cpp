// Lock and unlock by one thread, nobody else near: what a program pays for each critical section
// that goes well.
#include <boost/interprocess/sync/interprocess_mutex.hpp>

#include <memory>
#include <string>

#include <outlive/outlive.hpp>

#include "bench/harness.hpp"
#include "bench/peers.hpp"

namespace outlive::testing {

namespace {

// Made at the first use: the cases that fork are set up before.
segment& uncontended_segment() {
  static segment made = segment::anonymous();
  return made;
}

robust_mutex& make_mutex(const char* name) {
  return uncontended_segment().find_or_construct<robust_mutex>(name, "bench");
}

struct mutex_pairs {
  robust_mutex* mutex;
  void operator()(std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) {
      mutex->lock();
      mutex->unlock();
    }
  }
};

struct mutex_pairs_holding {
  robust_mutex* held;
  mutex_pairs pairs;
  void operator()(std::size_t count) const {
    held->lock();
    pairs(count);
    held->unlock();
  }
};

struct try_lock_pairs {
  robust_mutex* mutex;
  void operator()(std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) {
      if (!mutex->try_lock()) throw std::runtime_error("try_lock of a free mutex failed");
      mutex->unlock();
    }
  }
};

struct error_code_pairs {
  robust_mutex* mutex;
  void operator()(std::size_t count) const {
    std::error_code error;
    for (std::size_t i = 0; i < count; ++i) {
      mutex->lock(error);
      mutex->unlock(error);
    }
    require(!error, "lock with an error code failed");
  }
};

struct guarded_pairs {
  guarded<long>* value;
  void operator()(std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) {
      auto held = value->lock();
      *held += 1;
    }
  }
};

struct boost_pairs {
  std::shared_ptr<boost::interprocess::interprocess_mutex> mutex;
  void operator()(std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) {
      mutex->lock();
      mutex->unlock();
    }
  }
};

boost_pairs make_boost_pairs() {
  using mutex_type = boost::interprocess::interprocess_mutex;
  auto* made = ::new (shared_cells(sizeof(mutex_type))) mutex_type;
  return {std::shared_ptr<mutex_type>(made, [](mutex_type* mutex) { mutex->~mutex_type(); })};
}

template <class MakePairs>
bench_case pair_case(const std::string& name, MakePairs make) {
  return {"uncontended/" + name, "raw robust", 1, [make] {
            return measurement([subject = calibrated(make())](random_source& random) {
              return measure_pair(subject, raw_reference(), random);
            });
          }};
}

}  // namespace

std::vector<bench_case> uncontended_cases() {
  std::vector<bench_case> cases;
  cases.push_back(
      pair_case("raw robust (A/A)", [] { return raw_pairs{make_raw_mutex(raw_kind::robust)}; }));
  cases.push_back(pair_case("raw robust errorcheck",
                            [] { return raw_pairs{make_raw_mutex(raw_kind::robust_errorcheck)}; }));
  cases.push_back(
      pair_case("raw normal", [] { return raw_pairs{make_raw_mutex(raw_kind::normal)}; }));
  cases.push_back(pair_case("robust_mutex", [] { return mutex_pairs{&make_mutex("plain")}; }));
  cases.push_back(pair_case("robust_mutex, error_code form",
                            [] { return error_code_pairs{&make_mutex("error code")}; }));
  cases.push_back(
      pair_case("robust_mutex, try_lock", [] { return try_lock_pairs{&make_mutex("try")}; }));
  cases.push_back(pair_case("robust_mutex, holding another", [] {
    return mutex_pairs_holding{&make_mutex("outer"), {&make_mutex("inner")}};
  }));
  cases.push_back(pair_case("guarded<long>", [] {
    return guarded_pairs{
        &uncontended_segment().find_or_construct<guarded<long>>("value", "bench value", 0)};
  }));
  cases.push_back(pair_case("Boost interprocess_mutex", [] { return make_boost_pairs(); }));
  cases.push_back(pair_case("flock", [] { return flock_pairs(); }));
  cases.push_back(pair_case("fcntl OFD", [] { return ofd_pairs(); }));
  cases.push_back(pair_case("SysV SEM_UNDO", [] { return sem_undo_pairs(); }));
  return cases;
}

}  // namespace outlive::testing
