// The latest changes of one informer, for delegates that watch the plane's cache. All watchers read the
// same journal, each from its own place, so a slow one costs nothing but its place: when that falls out
// of the journal, its watch ends with 410. Bounded in events and bytes. One loop.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "kube/object.h"
#include "runtime/sync.h"

namespace gs::gateway {

class Journal {
 public:
  static constexpr size_t kMaxEvents = 4096;
  static constexpr size_t kMaxBytes = 16 * 1024 * 1024;

  // `after` is null for nothing; a deletion has its last state in `after` and `deleted`.
  struct Change {
    kube::ObjectRef before;  // null: added
    kube::ObjectRef after;
    bool deleted = false;
  };

  // Changes from here on are kept; `version` is that of the cache now.
  Journal(Loop& loop, std::string version) : changed_(loop), last_(version), floor_(std::move(version)) {}

  void push(Change change);
  // A list of this version is being given out: whoever watches from it must find what follows.
  void settle(std::string_view version);

  // Places: first_ is the place of the oldest change, end() of the next one.
  uint64_t end() const { return first_ + changes_.size(); }
  // The place behind all changes up to `version`; nullopt where that is too old to be known.
  std::optional<uint64_t> place_of(std::string_view version) const;
  bool holds(uint64_t place) const { return place >= first_; }
  const Change& at(uint64_t place) const { return changes_[place - first_]; }
  WaitQueue& changed() { return changed_; }

 private:
  void restart();
  void drop_oldest();

  WaitQueue changed_;
  std::deque<Change> changes_;
  uint64_t first_ = 0;
  size_t bytes_ = 0;
  std::string last_;   // of the last change
  std::string floor_;  // changes after this version are all here
  bool unsettled_ = false;  // began anew, and from which version on it is complete is not known yet
};

}  // namespace gs::gateway
