// FileWatch by the kernel's inotify.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/file_watch.h"
#include "runtime/uv_loop.h"

namespace gs {

class InotifyWatch final : public FileWatch {
 public:
  // Null: the kernel gives none (fs.inotify.max_user_instances, open files).
  static std::unique_ptr<InotifyWatch> make(UvLoop& loop);
  ~InotifyWatch() override;

  void forget() override;
  Followed follow(const std::vector<std::string>& directories) override;

 private:
  InotifyWatch(UvLoop& loop, int fd);
  int watch(const std::string& directory) const;
  void listen();

  UvLoop& loop_;
  int fd_;
  uv_poll_t* poll_;
  std::map<std::string, int> watched_;  // directories and their watch descriptors
};

}  // namespace gs
