// What a pair wrote, or read from the cluster itself, and its cluster's watch has not shown yet: reads of the
// cache see one's own writes and do not go back. One per pair, on its loop.
//
// An entry ends when the cache shows its version or a later one, whether somebody reads it or not:
// merge() drops it on reading, seen() on the watch's event, prune() from time to time. Where the answer
// of a write does not tell the new state (a table, metadata only), the entry says "read it live".
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/time.h"
#include "cache/informer.h"
#include "kube/object.h"

namespace gs::gateway {

class Overlay {
 public:
  // Beyond this many entries reads go to the cluster until the watches have caught up.
  static constexpr size_t kMaxEntries = 4096;
  // Of these, what was only read takes no more than so many.
  static constexpr size_t kMaxReads = 1024;
  // A deletion whose version nobody told ends at the latest after this.
  static constexpr Duration kLongest = std::chrono::minutes(2);

  struct View {
    kube::ObjectRef object;  // null: there is none
    bool live = false;       // the cache cannot say: ask the cluster
  };

  // A 2xx answer of a write of the main resource or its status.
  void wrote(const cache::GroupVersionResource& resource, const kube::ObjectRef& object, MonoTime now);
  // Written, but in which state is not known.
  void wrote_unseen(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name, const std::string& version,
                    MonoTime now);
  // The object of this uid is gone. `version`: of the last state that was seen, or empty. `before`: what a reader saw
  // then; one of another uid came before it.
  void deleted(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name, const std::string& uid,
               const std::string& version, const kube::ObjectRef& before, MonoTime now);

  // The cluster answered a read with a state that the cache, which has `cached`, may not have reached. True: it
  // has not.
  bool read(const cache::Informer& informer, const kube::ObjectRef& object, const kube::ObjectRef& cached, MonoTime now);

  // What a reader sees: what `informer` has, or what was written since.
  View merge(const cache::Informer& informer, std::string_view ns, std::string_view name, const kube::ObjectRef& cached, MonoTime now);
  // The watch has told of this object.
  void seen(const cache::GroupVersionResource& resource, const kube::Object& object);
  // Looks at some entries of any resource and drops those that are done. `covering`: an informer or null.
  template <class Covering>
  void prune(Covering covering, size_t most, MonoTime now) {
    for (; most > 0 && !entries_.empty(); --most) {
      auto at = entries_.upper_bound(pruned_);
      if (at == entries_.end()) at = entries_.begin();
      pruned_ = at->first;
      const cache::Informer* informer = covering(at->second.resource, std::get<1>(at->first));
      // Without an informer nobody reads it from the cache.
      const kube::ObjectRef cached = informer != nullptr ? informer->store().get(std::get<1>(at->first), std::get<2>(at->first)) : kube::ObjectRef();
      if (informer == nullptr) {
        entries_.erase(at);
      } else if (caught_up(at->second, *informer, cached, now)) {
        end(at, cached);
      }
    }
  }
  // What was written or read, and deleted again by somebody else while no watch looked: no relist shows either, so
  // whoever rests on it must be told. Taken out, those of the informer's resource; to be asked after a relist, and
  // where has_vanished().
  std::vector<kube::ObjectRef> take_vanished(const cache::Informer& informer);
  bool has_vanished() const { return !vanished_.empty(); }
  // Something was seen for which there was no room: what the next relist means for it cannot be told.
  void lose() { lost_ = true; }
  bool take_lost() { return std::exchange(lost_, false); }
  bool full() const { return entries_.size() >= kMaxEntries; }
  // Entries of a resource that the reader of a list must look at: each(namespace, name).
  template <class Each>
  void for_each(const cache::GroupVersionResource& resource, Each each) const {
    const std::string name = resource.to_string();
    for (auto at = entries_.lower_bound(Key(name, "", "")); at != entries_.end() && std::get<0>(at->first) == name; ++at) {
      each(std::get<1>(at->first), std::get<2>(at->first));
    }
  }
  size_t size() const { return entries_.size(); }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // resource, namespace, name
  struct Entry {
    cache::GroupVersionResource resource;
    kube::ObjectRef object;  // null: deleted, or unseen
    std::string uid;         // of what was deleted
    std::string version;
    std::string floor;       // of a deletion: what else had this name, and came before
    bool unseen = false;
    MonoTime at{};
  };
  static bool caught_up(const Entry& entry, const cache::Informer& informer, const kube::ObjectRef& cached, MonoTime now);
  // An entry that the watch has caught up with goes; `cached` is what the cache has.
  void end(std::map<Key, Entry>::iterator entry, const kube::ObjectRef& cached);
  Entry* put(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name);

  std::map<Key, Entry> entries_;
  std::vector<std::pair<std::string, kube::ObjectRef>> vanished_;  // found by readers, by resource; at most kMaxEntries
  Key pruned_;
  bool lost_ = false;
};

}  // namespace gs::gateway
