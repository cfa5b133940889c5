// Reads: one object, and lists in pages (k8s.io/apiserver's storage/etcd3 and its continue tokens).
// https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
#pragma once

#include "apiserver/representation.h"
#include "apiserver/selection.h"
#include "apiserver/store.h"
#include "gateway/rest_request.h"

namespace gs::apiserver {

class Lister {
 public:
  Lister(Loop& loop, const Store& store) : loop_(loop), store_(store) {}
  Answer get(const ResourceType& type, const gateway::RestRequest& request, const Representation& as) const;
  // `stale_by`: where any version will do, the state so many versions ago.
  Answer list(const ResourceType& type, const gateway::RestRequest& request, const Representation& as, uint64_t stale_by) const;

 private:
  // What a list starts from.
  struct Start {
    uint64_t version = 0;
    std::string after;            // keys up to this one were told
    bool inconsistent = false;    // goes on from a page that is too old, with the present
    bool exact = false;
  };
  Checked<Start> start(const ResourceType& type, const gateway::RestRequest& request, uint64_t limit, uint64_t stale_by) const;
  Answer too_old(const ResourceType& type, const Start& start) const;

  Loop& loop_;
  const Store& store_;
};

}  // namespace gs::apiserver
