// What each primary owns, as digests of (resource, uid, version): a child that was deleted, edited or
// made changes the digest of its owner. About 60 bytes a child, nothing of its content. One a pair.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <string>
#include <string_view>

#include "kube/object.h"
#include "store/digest.h"

namespace gs::control {

class OwnedChildren {
 public:
  // The child is as `child` is now. Owners are keys, "namespace/name": what an earlier primary of that name left
  // behind counts too, as it does for triggers. Empty: nobody of ours owns it.
  void put(const std::string& resource, const kube::Object& child, std::string_view owner);
  void erase(const std::string& resource, const kube::Object& child);
  store::Digest of(std::string_view owner) const;
  size_t size() const { return children_.size(); }

 private:
  using Id = uint64_t;  // hash of a uid
  struct Child {
    Id owner = 0;
    store::Digest digest;
  };
  struct Owner {
    store::Digest sum;
    uint32_t count = 0;
  };
  void drop(const Child& child);

  boost::unordered_flat_map<Id, Child> children_;
  boost::unordered_flat_map<Id, Owner> owners_;
};

}  // namespace gs::control
