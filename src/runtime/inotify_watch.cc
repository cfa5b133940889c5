#include "runtime/inotify_watch.h"

#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

namespace gs {
namespace {

constexpr uint32_t kChanges = IN_CREATE | IN_DELETE | IN_MOVE | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr long kXfs = 0x58465342, kZfs = 0x2fc12fc1, kBcachefs = 0xca451a4e;

// Whose every change goes through this kernel. Others (NFS, 9p, FUSE) change behind its back.
bool is_local(const std::string& directory) {
  struct statfs s {};
  if (::statfs(directory.c_str(), &s) != 0) return false;
  constexpr long kLocal[] = {EXT4_SUPER_MAGIC, TMPFS_MAGIC, RAMFS_MAGIC, OVERLAYFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, kXfs, kZfs, kBcachefs};
  return std::find(std::begin(kLocal), std::end(kLocal), static_cast<long>(s.f_type)) != std::end(kLocal);
}

}  // namespace

std::unique_ptr<InotifyWatch> InotifyWatch::make(UvLoop& loop) {
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  return fd < 0 ? nullptr : std::unique_ptr<InotifyWatch>(new InotifyWatch(loop, fd));
}

InotifyWatch::InotifyWatch(UvLoop& loop, int fd) : FileWatch(loop), loop_(loop), fd_(fd), poll_(new uv_poll_t{}) {
  GS_CHECK(uv_poll_init(loop_.uv(), poll_, fd_) == 0);
  poll_->data = this;
  listen();
}

InotifyWatch::~InotifyWatch() {
  uv_poll_stop(poll_);
  UvLoop::close_and_delete(poll_);
  ::close(fd_);
}

void InotifyWatch::listen() {
  uv_poll_start(poll_, UV_READABLE, [](uv_poll_t* poll, int, int) {
    auto& self = *static_cast<InotifyWatch*>(poll->data);
    const UvLoop::Activation activation(self.loop_);
    // Once is enough: in a directory where others write all the time each change would wake us.
    uv_poll_stop(poll);
    self.changed.set();
  });
}

// What the events are does not matter, nor whether they were too many for the kernel's queue.
void InotifyWatch::forget() {
  char events[16 * 1024];
  while (::read(fd_, events, sizeof(events)) > 0) {
  }
  changed.clear();
  listen();
}

int InotifyWatch::watch(const std::string& directory) const {
  return is_local(directory) ? ::inotify_add_watch(fd_, directory.c_str(), kChanges) : -1;
}

// Descriptors are never given twice, and a directory that is watched has one: another one is another directory of the
// same name.
FileWatch::Followed InotifyWatch::follow(const std::vector<std::string>& directories) {
  std::map<std::string, int> before = std::exchange(watched_, {});
  Followed out = Followed::kAlready;
  for (const std::string& directory : directories) {
    const int wd = watch(directory);
    if (wd < 0) {
      out = Followed::kNot;
      continue;
    }
    watched_[directory] = wd;
    const auto known = before.find(directory);
    if (out == Followed::kAlready && (known == before.end() || known->second != wd)) out = Followed::kNow;
  }
  // Several names may lead to one directory.
  std::set<int> kept;
  for (const auto& [directory, wd] : watched_) kept.insert(wd);
  for (const auto& [directory, wd] : before) {
    if (!kept.contains(wd)) ::inotify_rm_watch(fd_, wd);
  }
  return out;
}

}  // namespace gs
