// Memory of one nghttp2 session. What a session allocates once and keeps (its tables, and a buffer of 16 KiB for
// the frame that it writes, used or not) comes from pages of its own: of the buffer an idle connection of small
// frames touches nothing that is not there anyway, and when the session ends all of it is given back, where in
// malloc()'s heap it would leave holes between what lives on. Internal to src/net.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>

namespace gs::net {

// Made, used and destroyed on one thread; destroyed after the session.
class Http2Memory {
 public:
  Http2Memory();
  ~Http2Memory();
  Http2Memory(const Http2Memory&) = delete;
  Http2Memory& operator=(const Http2Memory&) = delete;

  // For nghttp2_session_*_new3, which copies it.
  nghttp2_mem* get() { return &memory_; }
  // The session has what it keeps: from now on its memory is malloc()'s.
  void session_made() { used_ = kSlot; }

 private:
  // Whole pages. nghttp2 1.52 takes 23.4 KB: 7 of its own, which leaves a small frame a part of the second page.
  static constexpr size_t kSlot = 24 * 1024;
  static constexpr size_t kLeast = 2048;  // what is smaller is malloc()'s

  class Slots;
  static Slots& slots();
  static void* allocate(size_t size, void* self);
  static void* allocate_zeroed(size_t count, size_t size, void* self);
  static void* resize(void* pointer, size_t size, void* self);
  static void release(void* pointer, void* self);
  bool owns(const void* pointer) const;
  void* carve(size_t size);

  char* slot_;  // null: there was none, everything is malloc()'s
  size_t used_ = 0;
  nghttp2_mem memory_;
};

}  // namespace gs::net
