// A doubly linked list whose nodes live in their owners and unlink themselves when destroyed.
// Nothing is allocated; removing is O(1) and safe at any time.
#pragma once

#include <cstddef>

namespace gs {

class ListNode {
 public:
  ListNode() = default;
  ~ListNode() { unlink(); }
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;

  bool linked() const { return next_ != nullptr; }
  void unlink() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }

 private:
  template <class T>
  friend class IntrusiveList;
  ListNode* prev_ = nullptr;
  ListNode* next_ = nullptr;
};

// T derives from ListNode. The list does not own its nodes.
template <class T>
class IntrusiveList {
 public:
  IntrusiveList() { head_.prev_ = head_.next_ = &head_; }
  ~IntrusiveList() {
    while (!empty()) front().unlink();
    head_.next_ = head_.prev_ = nullptr;
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return head_.next_ == &head_; }
  T& front() { return static_cast<T&>(*head_.next_); }

  // Moves `node` here from wherever it is.
  void push_back(T& node) {
    ListNode& n = node;
    n.unlink();
    n.prev_ = head_.prev_;
    n.next_ = &head_;
    head_.prev_->next_ = &n;
    head_.prev_ = &n;
  }

  // Takes all nodes of `other`, in order, behind our own.
  void splice(IntrusiveList& other) {
    if (other.empty()) return;
    ListNode* first = other.head_.next_;
    ListNode* last = other.head_.prev_;
    other.head_.next_ = other.head_.prev_ = &other.head_;
    first->prev_ = head_.prev_;
    head_.prev_->next_ = first;
    last->next_ = &head_;
    head_.prev_ = last;
  }

 private:
  ListNode head_;
};

}  // namespace gs
