// What a list held: which objects, in which versions, whatever their order.
#pragma once

#include "cache/informer.h"
#include "kube/object.h"
#include "kube/selector.h"
#include "store/digest.h"

namespace gs::gateway {

class ListDigest {
 public:
  void add(std::string_view ns, std::string_view name, std::string_view uid, std::string_view version) {
    sum_ += store::Digester().text(ns).text(name).text(uid).text(version).finish();
  }
  void add(const kube::Object& object) { add(object.ns(), object.name(), object.uid(), object.resource_version()); }
  // A set's; of no objects it is zero.
  const store::Digest& sum() const { return sum_; }
  bool operator==(const ListDigest&) const = default;

 private:
  store::Digest sum_;
};

// Of a list as the cache has it.
inline ListDigest digest_of(const cache::Informer& informer, std::string_view ns, const kube::LabelSelector& selector) {
  ListDigest out;
  informer.store().for_each(ns, [&](const kube::ObjectRef& object) {
    if (selector.matches(object->labels())) out.add(*object);
  });
  return out;
}

}  // namespace gs::gateway
