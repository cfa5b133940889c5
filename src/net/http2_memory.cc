#include "net/http2_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

namespace gs::net {

// Slots of mapped regions, zeroed. Regions are kept: there are as many as there were connections at once.
class Http2Memory::Slots {
 public:
  char* take() {
    if (free_.empty() && !grow()) return nullptr;
    char* slot = free_.back();
    free_.pop_back();
    return slot;
  }
  void give_back(char* slot) {
    madvise(slot, kSlot, MADV_DONTNEED);
    free_.push_back(slot);
  }

 private:
  static constexpr size_t kCount = 64;  // of one mapping
  static constexpr size_t kRegion = kCount * kSlot;

  bool grow() {
    void* region = mmap(nullptr, kRegion, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED) return false;
    // Pages of 2 MiB would make all of it resident again.
    madvise(region, kRegion, MADV_NOHUGEPAGE);
    for (size_t i = kCount; i-- > 0;) free_.push_back(static_cast<char*>(region) + i * kSlot);
    return true;
  }

  std::vector<char*> free_;
};

// Never destroyed: sessions may be freed while a thread's other locals are.
Http2Memory::Slots& Http2Memory::slots() {
  thread_local auto* instance = new Slots();
  return *instance;
}

Http2Memory::Http2Memory() : slot_(slots().take()), memory_{this, allocate, release, allocate_zeroed, resize} {}

Http2Memory::~Http2Memory() {
  if (slot_ != nullptr) slots().give_back(slot_);
}

bool Http2Memory::owns(const void* pointer) const {
  const std::less<const char*> before;
  const auto* at = static_cast<const char*>(pointer);
  return slot_ != nullptr && !before(at, slot_) && before(at, slot_ + kSlot);
}

// Null where the slot has no room. What is carved is never used again while the session lives: so it is zeroed.
void* Http2Memory::carve(size_t size) {
  const size_t whole = (size + alignof(std::max_align_t) - 1) / alignof(std::max_align_t) * alignof(std::max_align_t);
  if (slot_ == nullptr || size > kSlot || whole > kSlot - used_) return nullptr;
  return slot_ + std::exchange(used_, used_ + whole);
}

void* Http2Memory::allocate(size_t size, void* self) {
  void* carved = size < kLeast ? nullptr : static_cast<Http2Memory*>(self)->carve(size);
  return carved != nullptr ? carved : std::malloc(size);
}

void* Http2Memory::allocate_zeroed(size_t count, size_t size, void* self) {
  void* carved = count > kSlot ? nullptr : static_cast<Http2Memory*>(self)->carve(count * size);
  return carved != nullptr ? carved : std::calloc(count, size);
}

void* Http2Memory::resize(void* pointer, size_t size, void* self) {
  if (pointer == nullptr) return allocate(size, self);  // how nghttp2 gets its buffers
  auto& memory = *static_cast<Http2Memory*>(self);
  if (!memory.owns(pointer)) return std::realloc(pointer, size);
  void* moved = std::malloc(size);
  if (moved == nullptr) return nullptr;
  // How long it was nobody noted; what follows it in the slot is copied as well and means nothing.
  const auto* from = static_cast<const char*>(pointer);
  std::memcpy(moved, from, std::min<size_t>(size, static_cast<size_t>(memory.slot_ + kSlot - from)));
  return moved;
}

void Http2Memory::release(void* pointer, void* self) {
  if (!static_cast<Http2Memory*>(self)->owns(pointer)) std::free(pointer);
}

}  // namespace gs::net
