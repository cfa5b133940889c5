// The small ids in which store, queue, read sets and sessions speak. Ids are per loop: they mean
// nothing on another loop or in another process, and are never written to disk or the wire.
#pragma once

#include "base/strong_id.h"

namespace gs {

using TenantId = StrongId<struct TenantTag>;          // a hub namespace
using ClusterId = StrongId<struct ClusterTag>;        // an attached cluster
using ControllerId = StrongId<struct ControllerTag>;  // a Controller object
using DelegateId = StrongId<struct DelegateTag>;      // a delegate's streams: of one origin, for one tenant or all
using PairId = StrongId<struct PairTag>;              // a Controller in a cluster
using KeyId = StrongId<struct KeyTag>;                // an interned "namespace/name" (or "name")
using ResourceId = StrongId<struct ResourceTag>;      // an interned group/version/resource

}  // namespace gs
