// `--config DIR` as a source: looked at every second, off the loop, because editors and ConfigMap mounts
// replace files in ways that file watches miss; read anew where the stamp of its files, and of those that
// kubeconfigs name, is another one.
#pragma once

#include "control/directory.h"
#include "control/source.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs::control {

class DirectorySource final : public Source {
 public:
  static constexpr Duration kPeriod = std::chrono::seconds(1);

  // The first reading is a part of starting and blocks: a directory that is not there is kNotFound.
  static Result<std::unique_ptr<DirectorySource>> start(Loop& loop, std::string path, Sink sink);

  bool synced() const override { return synced_; }
  std::string problem() const override { return problem_; }
  uint64_t readings() const { return readings_; }  // after the first

 private:
  struct Reading;
  DirectorySource(Loop& loop, std::string path, Sink sink);
  Task<void> run(DirectoryContent first);
  static Desired compact(const Desired& desired);
  void adopt(DirectoryContent content);

  Loop& loop_;
  std::string path_;
  Sink sink_;
  std::vector<std::string> files_;  // of the last reading, and their stamp
  std::string stamp_;
  std::string digest_;
  std::string problem_;
  uint64_t readings_ = 0;
  bool synced_ = false;
  TaskScope scope_;
};

}  // namespace gs::control
