// attachment_tree: a thread's attachments by the addresses of their segments, so that what a lock
// costs does not grow with the segments that the thread uses beside it.
//
// A treap: its links lie in the attachments, so that nothing in it can fail, and a hash of the
// address keeps it level where mappings come in the order of their addresses, as mmap gives them
// out.
#pragma once

namespace outlive::detail {

struct attachment;

class attachment_tree {
 public:
  // Returns: the attachment whose segment contains the address; nullptr if there is none.
  [[nodiscard]] attachment* find(const void* address) const noexcept;
  void insert(attachment& node) noexcept;
  // Requires: it was inserted.
  void erase(const attachment& node) noexcept;
  void clear() noexcept { root_ = nullptr; }

 private:
  attachment* root_ = nullptr;
};

}  // namespace outlive::detail
