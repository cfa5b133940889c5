// A list from the cache, written part by part: the objects' own bytes are copied once, into the part that
// is sent next.
#pragma once

#include <string>
#include <vector>

#include "cache/resource.h"
#include "delegate/attempt.h"
#include "kube/object.h"

namespace gs::gateway {

// Sorted as an API server sorts: by namespace, then name. kCancelled once nobody wants it.
Task<Status> send_list(delegate::CallReply& reply, cache::GroupVersionResource resource, std::string kind, std::string version,
                       std::vector<kube::ObjectRef> items);

}  // namespace gs::gateway
