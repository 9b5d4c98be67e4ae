#include "killtest/state/lock_points.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "format/layout.hpp"
#include "format/lock_state.hpp"

namespace outlive::killtest::detail {

namespace {

using outlive::detail::lock_bytes;
using outlive::detail::lock_state;

class reader {
 public:
  reader(const recording& log, const char* base, std::size_t size,
         const std::vector<std::uint64_t>& mutexes)
      : log_(log), mutexes_(mutexes), bytes_(base, base + size) {
    outlive::detail::segment_constants constants;
    std::memcpy(&constants, base, sizeof constants);
    objects_ = outlive::detail::region_layout::of(constants).objects;
    for (std::size_t i = 0; i < log_.setup; ++i) apply(log_.stores[i]);
    for (const std::uint64_t each : mutexes_) inside_[each] = has_holder(each);
  }

  std::vector<lock_point> read() {
    std::vector<lock_point> made;
    bool open = false;  // the newest point may still move to the first change
    for (std::size_t i = log_.setup; i < log_.stores.size(); ++i) {
      const logged_store& store = log_.stores[i];
      apply(store);
      if (const std::uint64_t* const mutex = mutex_at(store)) {
        const bool was = inside_[*mutex];
        const bool is = inside_[*mutex] = has_holder(*mutex);
        if (is && !was) made.push_back({*mutex, store.executed});
        if (is != was) open = is;
      } else if (open && store.offset >= objects_) {
        made.back().stores = store.executed;
        open = false;
      }
    }
    return made;
  }

 private:
  void apply(const logged_store& store) {
    std::memcpy(bytes_.data() + store.offset, log_.new_bytes(store).data(), store.size);
  }

  // Whether a thread is inside. The mutex is on the list of robust locks earlier, but a death
  // before this store is no death inside.
  bool has_holder(std::uint64_t mutex) const {
    std::uint64_t word;
    std::memcpy(&word, bytes_.data() + mutex + offsetof(lock_bytes, state), sizeof word);
    return bool{lock_state(word).holder()};
  }

  const std::uint64_t* mutex_at(const logged_store& store) const {
    const auto found = std::find_if(mutexes_.begin(), mutexes_.end(), [&](std::uint64_t mutex) {
      return store.offset < mutex + sizeof(lock_bytes) && mutex < store.offset + store.size;
    });
    return found == mutexes_.end() ? nullptr : &*found;
  }

  const recording& log_;
  const std::vector<std::uint64_t>& mutexes_;
  std::vector<char> bytes_;
  std::uint64_t objects_ = 0;
  std::unordered_map<std::uint64_t, bool> inside_;
};

}  // namespace

std::vector<lock_point> lock_points_of(const recording& log, const char* base, std::size_t size,
                                       const std::vector<std::uint64_t>& mutexes) {
  return reader(log, base, size, mutexes).read();
}

}  // namespace outlive::killtest::detail
