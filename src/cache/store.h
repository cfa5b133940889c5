// Store: the objects of one informer by namespace and name, with an index by namespace and, where somebody
// asked for it, by owner. The key is read from the object itself: 16 bytes an entry, 8 to 16 more in the
// index. Lives on one loop; written by its informer only.
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "kube/object.h"

namespace gs::cache {

struct ObjectKey {
  std::string_view ns;
  std::string_view name;
  bool operator==(const ObjectKey&) const = default;
};

class Store {
 public:
  // Null where there is none.
  kube::ObjectRef get(std::string_view ns, std::string_view name) const;
  using Each = std::function<void(const kube::ObjectRef&)>;
  // In no particular order; `ns` empty means all namespaces. Costs what it gives, not what there is.
  void for_each(std::string_view ns, const Each& each) const;
  // The objects that name this uid among their owner references. CHECKs that index_owners() was called.
  void for_each_owned(std::string_view owner_uid, const Each& each) const;
  // From now on, also for what is in here already. An owner's objects are a plain list: for thousands of
  // objects of one owner a change costs a search among them.
  void index_owners();
  bool indexes_owners() const { return owners_indexed_; }
  size_t size() const { return objects_.size(); }
  // Bytes of the objects, without the table and its indexes.
  size_t object_bytes() const { return bytes_; }

  // Puts an object in; returns the one it replaces, or null.
  kube::ObjectRef put(kube::ObjectRef object);
  // Takes an object out; null where there was none.
  kube::ObjectRef erase(std::string_view ns, std::string_view name);
  void swap(Store& other) noexcept;

 private:
  struct Entry {
    explicit Entry(kube::ObjectRef o) : object(std::move(o)) {}
    // Beside the key nothing of an entry is hashed: an object is replaced in place.
    mutable kube::ObjectRef object;
    mutable uint32_t at = 0;  // in its namespace's list
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(const ObjectKey& key) const;
    size_t operator()(const Entry& entry) const { return (*this)(ObjectKey{entry.object->ns(), entry.object->name()}); }
  };
  struct Equal {
    using is_transparent = void;
    static ObjectKey key(const Entry& entry) { return {entry.object->ns(), entry.object->name()}; }
    static ObjectKey key(const ObjectKey& key) { return key; }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return key(a) == key(b);
    }
  };
  using Objects = std::vector<kube::ObjectRef>;
  using Index = boost::unordered_flat_map<std::string, Objects, StringHash, std::equal_to<>>;

  void enter(const Entry& entry);
  void leave(const Entry& entry);
  void enter_owners(const kube::ObjectRef& object);
  void leave_owners(const kube::Object& object);

  boost::unordered_flat_set<Entry, Hash, Equal> objects_;
  Index namespaces_;  // of namespaced objects
  Index owners_;
  bool owners_indexed_ = false;
  size_t bytes_ = 0;
};

}  // namespace gs::cache
