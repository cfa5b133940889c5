// Read sets: what each key's last reconcile read, as (resource, name or selector, uid, version or absence),
// from the moment it happened. Uses: trigger (a newer change of a Reference secondary requeues the keys
// that read it, absences and selectors too, also while they run), prefetch, and pure (is all of it still
// as it was?). One per pair, on its loop; bounded per key.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "cache/resource.h"
#include "gateway/list_digest.h"
#include "kube/object.h"
#include "kube/selector.h"

namespace gs::control {

// The state of an object that somebody saw. Without uid and version: seen, but it is not known in which
// state (a delegate's own copy).
struct Seen {
  bool known = false;
  bool present = false;
  std::string uid;
  std::string version;
  static Seen of(const kube::ObjectRef& object);
  static Seen unknown() { return {}; }
  bool operator==(const Seen&) const = default;
};

class ReadSets {
 public:
  // Reads of one key beyond this are not kept; the key is then requeued by every change of a Reference
  // secondary and never skipped, so nothing is missed.
  static constexpr size_t kMaxReads = 256;

  struct NameRead {
    cache::GroupVersionResource resource;
    std::string ns;
    std::string name;
    Seen seen;
  };
  struct ListRead {
    cache::GroupVersionResource resource;
    std::string ns;
    std::string selector_text;
    kube::LabelSelector selector;
    std::string version;  // of the list; changes up to it were seen. Empty: not known
    std::optional<gateway::ListDigest> digest;
  };
  struct Reads {
    std::vector<NameRead> names;
    std::vector<ListRead> lists;
    bool overflow = false;
    // Something was read that no informer covers, or written: a resync of it cannot be skipped.
    bool never_skip = false;
  };

  // A new reconcile of the key begins: what it reads replaces what the last one read, once it ends.
  // Until then both trigger.
  void begin(KeyId key);
  // The first state seen stands: what was decided rests on it.
  void read_name(KeyId key, const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name, Seen seen);
  void read_list(KeyId key, const cache::GroupVersionResource& resource, const std::string& ns, const std::string& selector,
                 const std::string& version, std::optional<gateway::ListDigest> digest);
  void never_skip(KeyId key);
  // The reconcile ended; a failed one keeps the former reads as well.
  void end(KeyId key, bool ok);
  void forget(KeyId key);

  // The keys that read this object in an older state, or a list that the object is or was in.
  std::set<KeyId> triggered_by(const cache::GroupVersionResource& resource, const kube::Object* before, const kube::Object& after,
                               bool deleted) const;
  // What the last reconcile read; null where there was none. For prefetching and for what is kept over a restart.
  const Reads* last(KeyId key) const;
  // All that the last reconcile read is as it was: `now` says how an object is at present, `list_now` a list; nullopt
  // where no cache can say.
  using NameNow = std::function<std::optional<Seen>(const NameRead&)>;
  using ListNow = std::function<std::optional<gateway::ListDigest>(const ListRead&)>;
  bool unchanged(KeyId key, const NameNow& now, const ListNow& list_now) const;

 private:
  struct Entry {
    Reads last;
    Reads running;
  };
  using NameKey = std::tuple<std::string, std::string, std::string>;  // resource, namespace, name
  Reads* room(KeyId key);
  void drop(KeyId key, const Reads& reads);

  std::map<KeyId, Entry> entries_;
  std::map<NameKey, std::multiset<KeyId>> by_name_;
  std::map<std::string, std::multiset<KeyId>> listers_;  // resource -> keys with a list or an overflow
};

}  // namespace gs::control
