// `--config DIR` as a source: looked at off the loop where a FileWatch tells that something changed, at most once a second;
// each second where there is no watch, it cannot follow all of the directories, or a change is so young that its file's
// times do not tell it from the next; and now and then in any case, for what a watch does not see. Read anew where the stamp
// of its files, and of those that kubeconfigs name, is another one.
#pragma once

#include "control/directory.h"
#include "control/source.h"
#include "runtime/file_watch.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs::control {

class DirectorySource final : public Source {
 public:
  static constexpr Duration kPeriod = std::chrono::seconds(1);
  static constexpr Duration kLongPeriod = std::chrono::seconds(15);
  // After a change is told: who writes one file often writes another.
  static constexpr Duration kPause = std::chrono::milliseconds(100);

  // The first reading is a part of starting and blocks: a directory that is not there is kNotFound. `watch` may be null.
  static Result<std::unique_ptr<DirectorySource>> start(Loop& loop, std::string path, Sink sink, std::unique_ptr<FileWatch> watch = nullptr);

  bool synced() const override { return synced_; }
  std::string problem() const override { return problem_; }
  // Whether it waits to be told of changes.
  bool watched() const { return told_; }
  uint64_t looks() const { return looks_; }
  uint64_t readings() const { return readings_; }  // after the first

 private:
  struct Reading;
  DirectorySource(Loop& loop, std::string path, Sink sink, std::unique_ptr<FileWatch> watch);
  Task<void> run(DirectoryContent first);
  Task<void> wait();
  Task<std::shared_ptr<Reading>> look();
  void read(Reading& reading);
  static Desired compact(const Desired& desired);
  void adopt(DirectoryContent content);

  Loop& loop_;
  std::string path_;
  Sink sink_;
  std::unique_ptr<FileWatch> watch_;
  bool told_ = false;               // the watch tells of whatever changes from now on
  std::vector<std::string> files_;  // of the last reading, and their stamp
  std::string stamp_;
  std::string digest_;
  std::string problem_;
  uint64_t looks_ = 0;
  uint64_t readings_ = 0;
  bool synced_ = false;
  TaskScope scope_;
};

}  // namespace gs::control
