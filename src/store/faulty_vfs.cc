#include "store/faulty_vfs.h"

#include <sqlite3.h>

#include <csignal>
#include <cstring>

namespace gs::store {
namespace {

// The real file behind ours; its methods are copied, and those that change the disk asked before.
struct File {
  sqlite3_file base;
  FaultyVfs* vfs;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
File& file(sqlite3_file* f) { return *reinterpret_cast<File*>(f); }

template <auto Method, class... Args>
int forward(sqlite3_file* f, Args... args) {
  sqlite3_file* real = file(f).real();
  return (real->pMethods->*Method)(real, args...);
}
template <auto Method, class... Args>
int guarded(sqlite3_file* f, Args... args) {
  return file(f).vfs->fails() ? file(f).vfs->code.load() : forward<Method>(f, args...);
}

using M = sqlite3_io_methods;
const M kMethods = {
    3,
    [](sqlite3_file* f) { return forward<&M::xClose>(f); },
    [](sqlite3_file* f, void* to, int n, sqlite3_int64 at) { return forward<&M::xRead>(f, to, n, at); },
    [](sqlite3_file* f, const void* from, int n, sqlite3_int64 at) { return guarded<&M::xWrite>(f, from, n, at); },
    [](sqlite3_file* f, sqlite3_int64 size) { return guarded<&M::xTruncate>(f, size); },
    [](sqlite3_file* f, int flags) { return guarded<&M::xSync>(f, flags); },
    [](sqlite3_file* f, sqlite3_int64* size) { return forward<&M::xFileSize>(f, size); },
    [](sqlite3_file* f, int level) { return forward<&M::xLock>(f, level); },
    [](sqlite3_file* f, int level) { return forward<&M::xUnlock>(f, level); },
    [](sqlite3_file* f, int* out) { return forward<&M::xCheckReservedLock>(f, out); },
    [](sqlite3_file* f, int op, void* arg) { return forward<&M::xFileControl>(f, op, arg); },
    [](sqlite3_file* f) { return forward<&M::xSectorSize>(f); },
    [](sqlite3_file* f) { return forward<&M::xDeviceCharacteristics>(f); },
    [](sqlite3_file* f, int page, int size, int extend, void volatile** out) { return forward<&M::xShmMap>(f, page, size, extend, out); },
    [](sqlite3_file* f, int offset, int n, int flags) { return forward<&M::xShmLock>(f, offset, n, flags); },
    [](sqlite3_file* f) { file(f).real()->pMethods->xShmBarrier(file(f).real()); },
    [](sqlite3_file* f, int remove) { return forward<&M::xShmUnmap>(f, remove); },
    [](sqlite3_file* f, sqlite3_int64 at, int n, void** out) { return forward<&M::xFetch>(f, at, n, out); },
    [](sqlite3_file* f, sqlite3_int64 at, void* page) { return forward<&M::xUnfetch>(f, at, page); },
};

int open_file(sqlite3_vfs* vfs, const char* path, sqlite3_file* f, int flags, int* out_flags) {
  auto* real_vfs = sqlite3_vfs_find(nullptr);
  file(f).vfs = static_cast<FaultyVfs*>(vfs->pAppData);
  file(f).base.pMethods = nullptr;
  const int result = real_vfs->xOpen(real_vfs, path, file(f).real(), flags, out_flags);
  if (result == SQLITE_OK) file(f).base.pMethods = &kMethods;
  return result;
}

}  // namespace

struct FaultyVfs::Impl {
  sqlite3_vfs vfs;
};

FaultyVfs::FaultyVfs(std::string name) : name_(std::move(name)), impl_(new Impl) {
  std::memcpy(&impl_->vfs, sqlite3_vfs_find(nullptr), sizeof(sqlite3_vfs));
  impl_->vfs.pNext = nullptr;
  impl_->vfs.zName = name_.c_str();
  impl_->vfs.szOsFile += static_cast<int>(sizeof(File));
  impl_->vfs.xOpen = &open_file;
  // The default's own private data is asked for by its other methods only through the default itself.
  impl_->vfs.pAppData = this;
  impl_->vfs.xDelete = [](sqlite3_vfs*, const char* path, int sync) { return sqlite3_vfs_find(nullptr)->xDelete(sqlite3_vfs_find(nullptr), path, sync); };
  impl_->vfs.xAccess = [](sqlite3_vfs*, const char* path, int flags, int* out) {
    return sqlite3_vfs_find(nullptr)->xAccess(sqlite3_vfs_find(nullptr), path, flags, out);
  };
  impl_->vfs.xFullPathname = [](sqlite3_vfs*, const char* path, int n, char* out) {
    return sqlite3_vfs_find(nullptr)->xFullPathname(sqlite3_vfs_find(nullptr), path, n, out);
  };
  sqlite3_vfs_register(&impl_->vfs, 0);
}

FaultyVfs::~FaultyVfs() {
  sqlite3_vfs_unregister(&impl_->vfs);
  delete impl_;
}

bool FaultyVfs::fails() {
  ++operations;
  long left = good.load();
  while (left > 0 && !good.compare_exchange_weak(left, left - 1)) {
  }
  if (left == 0 && kills) raise(SIGKILL);
  return left == 0;
}

}  // namespace gs::store
