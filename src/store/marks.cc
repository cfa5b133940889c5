#include "store/marks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gs::store {
namespace {
constexpr size_t kBytes = Marks::kSlots * sizeof(uint16_t);
}

Marks::Marks() : own_(std::make_unique<Slot[]>(kSlots)) { slots_ = own_.get(); }

Marks::Marks(int fd) : fd_(fd) {}

Marks::~Marks() {
  if (fd_ < 0) return;
  if (slots_ != nullptr) munmap(slots_, kBytes);
  close(fd_);
}

Result<std::unique_ptr<Marks>> Marks::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail(Code::kUnavailable, "{}: {}", path, std::strerror(errno));
  std::unique_ptr<Marks> out(new Marks(fd));
  struct stat info {};
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return fail(Code::kAlreadyExists, "{}: another process uses it", path);
  if (fchmod(fd, 0600) != 0 || fstat(fd, &info) != 0) return fail(Code::kUnavailable, "{}: {}", path, std::strerror(errno));
  out->damaged_ = info.st_size != static_cast<off_t>(kBytes);
  // Blocks are taken now: a store into a hole of a full disk would be a SIGBUS.
  int error = ftruncate(fd, static_cast<off_t>(kBytes)) != 0 ? errno : posix_fallocate(fd, 0, static_cast<off_t>(kBytes));
  if (error != 0) return fail(Code::kUnavailable, "{}: {}", path, std::strerror(error));
  void* mapped = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (mapped == MAP_FAILED) return fail(Code::kUnavailable, "{}: {}", path, std::strerror(errno));
  mlock(mapped, kBytes);  // best effort: never read from a disk that fails later
  out->slots_ = static_cast<Slot*>(mapped);
  return out;
}

uint32_t Marks::slot_of(const PairName& pair, std::string_view ns, std::string_view name) {
  Digester d;
  d.text(pair.cluster).text(pair.controller).text(ns).text(name);
  return static_cast<uint32_t>(d.finish().low % kSlots);
}

void Marks::set(uint32_t slot) {
  uint16_t now = slots_[slot].load(std::memory_order_relaxed);
  while (now != UINT16_MAX && !slots_[slot].compare_exchange_weak(now, static_cast<uint16_t>(now + 1), std::memory_order_seq_cst)) {
  }
}

// A slot that ran full stays marked: who knows how many were lost.
void Marks::release(uint32_t slot, uint32_t count) {
  uint16_t now = slots_[slot].load(std::memory_order_relaxed);
  while (true) {
    const uint16_t after = now == UINT16_MAX ? now : static_cast<uint16_t>(count > now ? 0 : now - count);
    if (slots_[slot].compare_exchange_weak(now, after, std::memory_order_seq_cst)) return;
  }
}

size_t Marks::count() const {
  size_t out = 0;
  for (size_t i = 0; i < kSlots; ++i) out += slots_[i].load(std::memory_order_relaxed) != 0;
  return out;
}

bool Marks::sync() { return fd_ < 0 || (msync(slots_, kBytes, MS_SYNC) == 0 && fsync(fd_) == 0); }

void Marks::clear() {
  for (size_t i = 0; i < kSlots; ++i) slots_[i].store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace gs::store
