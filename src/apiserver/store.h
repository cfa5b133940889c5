// The objects of one API server: collections by resource, one global resource version, and the last
// changes, from which watches read and past states are told. In memory, and by a Journal on a disk too.
// Lives on one loop; nothing here waits but durable() and writable().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/resource_table.h"
#include "json/value.h"
#include "runtime/sync.h"

namespace gs::apiserver {

// What each field manager applied last.
using Applied = std::map<std::string, json::Value>;
using AppliedPtr = std::shared_ptr<const Applied>;

// An object in one of its versions; immutable, so a disk's thread may read it too.
struct Stored {
  // `json`: an object without kind and apiVersion.
  Stored(std::string_view ns, std::string_view name, uint64_t version, std::string_view json, AppliedPtr applied, uint64_t shape = 0);
  Stored(const Stored&) = delete;
  Stored& operator=(const Stored&) = delete;

 private:
  std::string bytes_;  // the key, then the JSON

 public:
  std::string_view ns;
  std::string_view name;
  std::string_view json;    // without kind and apiVersion: whoever answers writes those of the version asked for
  std::string_view labels;  // raw, within json; empty where absent
  uint64_t version = 0;
  AppliedPtr applied;  // may be null
  // ResourceType::shape of the schema by which it was pruned and defaulted; 0: nobody knows (it comes from a disk).
  uint64_t shape = 0;

  // As Store::key().
  std::string_view key() const { return std::string_view(bytes_).substr(0, ns.size() + 1 + name.size()); }
  size_t bytes() const { return bytes_.size(); }
  // As it is stored, and with the kind and apiVersion of `type`.
  json::Value value() const;
  json::Value value(const ResourceType& type) const;
  std::string text(const ResourceType& type) const;
  // `prefix`: ResourceType::prefix(), or empty for an item of a typed list.
  void append_to(std::string& out, std::string_view prefix) const;
};
using StoredPtr = std::shared_ptr<const Stored>;
// The same object with another version in its metadata.
StoredPtr with_version(const Stored& object, uint64_t version);

enum class ChangeType { kAdded, kModified, kDeleted };

struct Change {
  ChangeType type = ChangeType::kAdded;
  uint64_t version = 0;
  MonoTime at{};
  StoredPtr object;  // kDeleted: the last state, with the version of the deletion
  StoredPtr before;  // null for kAdded
};

using ResourceName = std::pair<std::string, std::string>;  // group, plural name

// One step of a store, as a disk keeps it.
struct Revision {
  // kDrop: all of a resource went, without changes of their own. kRemember: who applied what to an object,
  // which is no new version of it; this revision's own version counts all the same.
  enum class Type : uint8_t { kPut = 0, kDelete = 1, kDrop = 2, kRemember = 3 };
  Type type = Type::kPut;
  uint64_t version = 0;
  std::shared_ptr<const ResourceName> resource;
  StoredPtr object;  // null of kDrop
};

// Where a store's steps are made durable.
class Journal {
 public:
  virtual ~Journal() = default;
  virtual void append(Revision revision) = 0;
  // History up to `compacted` is forgotten; the rows of these versions with it.
  virtual void forget(uint64_t compacted, const std::vector<uint64_t>& garbage) = 0;
  // Takes more without growing beyond its bound.
  virtual bool has_room() const = 0;
};

class Collection {
 public:
  explicit Collection(Loop& loop) : changed(loop) {}

  // The changes are numbered; those before first() are forgotten.
  uint64_t first() const { return first_; }
  uint64_t end() const { return first_ + log_.size(); }
  const Change& change(uint64_t number) const { return log_[number - first_]; }
  // The number of the first change after a version; nullopt where it may be forgotten (410).
  std::optional<uint64_t> after(uint64_t version) const;
  // Grows when the resource was removed from under its watches: they end.
  uint64_t incarnation() const { return incarnation_; }
  size_t size() const { return objects_.size(); }

  WaitQueue changed;  // woken by each change that is durable

 private:
  friend class Store;
  struct ByKey {
    using is_transparent = void;
    bool operator()(const StoredPtr& a, const StoredPtr& b) const { return a->key() < b->key(); }
    bool operator()(const StoredPtr& a, std::string_view b) const { return a->key() < b; }
    bool operator()(std::string_view a, const StoredPtr& b) const { return a < b->key(); }
  };
  std::set<StoredPtr, ByKey> objects_;
  std::deque<Change> log_;
  uint64_t first_ = 0;
  uint64_t forgotten_ = 0;  // the version of the last change that was forgotten
  uint64_t incarnation_ = 1;
  bool to_wake_ = false;
  std::shared_ptr<const ResourceName> name_;
};

// How much history is kept, of all resources together: what is beyond any bound is forgotten.
struct HistoryLimits {
  size_t changes = 100'000;
  size_t bytes = 32 * 1024 * 1024;  // of superseded objects
  Duration age = std::chrono::minutes(5);  // as kube-apiserver has etcd compacted
};

class Store {
 public:
  explicit Store(Loop& loop, HistoryLimits limits = {}) : loop_(loop), limits_(limits), durable_changed_(loop) {}

  uint64_t version() const { return version_; }
  // Everything up to this version is where a crash cannot take it back.
  uint64_t durable_version() const { return durable_; }
  // Completes once durable_version() has come to `version`: at once in memory. Nothing that rests on a
  // version is answered before. kUnavailable, in words: the disk fails, and what was written may be lost.
  Task<Status> durable(uint64_t version);
  // Waits while more is on its way to the disk than may be. Fails while the disk does: then nothing may be
  // written.
  Task<Status> writable();
  // Of the disk.
  const Status& health() const { return health_; }

  StoredPtr get(const ResourceType& type, std::string_view ns, std::string_view name) const;
  // In the order of namespace and name; `ns` empty: all.
  std::vector<StoredPtr> list(const ResourceType& type, std::string_view ns) const;
  bool any(const ResourceType& type, std::string_view ns) const;
  // The same as it was at a version; nullopt where that is forgotten. `after`: only keys beyond it.
  std::optional<std::vector<StoredPtr>> list_at(const ResourceType& type, std::string_view ns, uint64_t version,
                                                std::string_view after = {}) const;
  Collection& collection(const ResourceType& type);
  size_t size() const { return size_; }

  // Writes the object with the next version in its metadata; what it replaces is the object's former
  // version.
  StoredPtr put(const ResourceType& type, json::Value object, AppliedPtr applied);
  // Keeps another account of who applied what, for the same version of an object.
  void remember(const ResourceType& type, const StoredPtr& object, AppliedPtr applied);
  // The last state, with the version of the deletion; the object must exist.
  StoredPtr erase(const ResourceType& type, std::string_view ns, std::string_view name);
  // All objects and the history of a resource, without a trace (its CRD was removed).
  void drop(const ResourceType& type);
  // Watches of a resource end, and their clients come again.
  void end_watches(const ResourceType& type);
  // Forgets the history: what is watched or continued from before now is too old.
  void compact();

  // From a disk: first restore() in the order of the versions, then begin(). `compacted`: the last version
  // that is no longer history. The journal outlives the store's last write.
  void restore(Revision revision, uint64_t compacted);
  void begin(Journal& journal, uint64_t version, uint64_t compacted);
  // By the journal, on the loop.
  void made_durable(uint64_t version);
  void set_health(Status health);
  void room_made() { durable_changed_.wake_all(); }

  // "namespace/name", or "/name" for cluster-scoped objects.
  static std::string key(std::string_view ns, std::string_view name);

 private:
  struct Place {
    Collection* collection;
    uint64_t number;
  };
  const Collection* find(const ResourceType& type) const;
  Collection& collection_of(const ResourceName& name);
  void write(Collection& to, Revision::Type type, StoredPtr object);
  void place(Collection& to, Change& change);
  void record(Collection& to, Change change);
  void clear(Collection& collection);
  void forget_oldest();
  void trim();
  void wake(Collection& collection);

  Loop& loop_;
  HistoryLimits limits_;
  uint64_t version_ = 1;
  uint64_t durable_ = 1;
  Status health_;
  Journal* journal_ = nullptr;
  WaitQueue durable_changed_;
  size_t size_ = 0;
  std::map<ResourceName, std::unique_ptr<Collection>> collections_;
  std::deque<Place> order_;  // the changes of all collections, oldest first; some were dropped with their resource
  size_t history_bytes_ = 0;
  std::vector<Collection*> to_wake_;  // their last changes are not durable yet
  uint64_t compacted_ = 0;
  uint64_t restored_compacted_ = 0;  // what a collection that is new since the start has forgotten
  std::vector<uint64_t> garbage_;  // of the journal, to be told
};

}  // namespace gs::apiserver
