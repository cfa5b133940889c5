// Told when something may have changed in directories, so that nobody need look all the time. What is told is a reason
// to look and no more: a watch may tell of nothing, and whoever waits looks once in a while without it, for there are
// file systems and ways of changing files that no watch sees. Lives on one loop.
#pragma once

#include <string>
#include <vector>

#include "runtime/sync.h"

namespace gs {

class FileWatch {
 public:
  enum class Followed {
    kNot,      // not all of them can be: look yourself
    kNow,      // what changed in them before was not seen: look once more
    kAlready,  // each of them since before forget()
  };

  explicit FileWatch(Loop& loop) : changed(loop) {}
  virtual ~FileWatch() = default;

  // Forgets changes so far: called before one looks.
  virtual void forget() = 0;
  // From now on exactly these directories: called after one looked, and found that these matter.
  virtual Followed follow(const std::vector<std::string>& directories) = 0;

  // Something changed since forget().
  Event changed;
};

}  // namespace gs
