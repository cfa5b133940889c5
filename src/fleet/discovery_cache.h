// What one cluster serves, asked once for all that want to know: kind, scope and plural of a resource.
// A group and version that was asked for is kept for kKeep; what is not in it is asked for anew, at most
// every kMissAgain, so that a CRD that was just installed is found and a missing one costs little.
// One per cluster, on its loop; what clusters of one version serve alike they share.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/interned.h"
#include "cache/resource.h"
#include "kube/discovery.h"
#include "runtime/sync.h"

namespace gs::fleet {

// A kind that is served, with its plural.
struct ServedResource {
  std::string resource;  // plural
  std::string kind;
  bool namespaced = false;
};

// All that is kept of an ApiResource.
struct KnownResource {
  ServedResource served;
  bool listable = false;
};
using KnownResources = std::vector<KnownResource>;
// What the clusters of a loop serve, by digest.
using SharedDiscovery = Interned<KnownResources>;

class DiscoveryCache {
 public:
  static constexpr Duration kKeep = std::chrono::minutes(10);
  static constexpr Duration kMissAgain = std::chrono::seconds(1);
  static constexpr Duration kTimeout = std::chrono::seconds(30);

  // `shared` outlives it.
  DiscoveryCache(Loop& loop, kube::KubeTransport& transport, SharedDiscovery& shared) : loop_(loop), transport_(transport), shared_(shared) {}

  // kNotFound: it is not served (now). Other errors: those of kube::discover(). Askers of the same group
  // and version share one request.
  Task<Result<ServedResource>> resource(cache::GroupVersionResource wanted);
  // By "apps/v1" or "v1", and kind.
  Task<Result<ServedResource>> kind(std::string api_version, std::string kind);
  // Something there has changed: a 404, a CRD that was replaced.
  void forget(const std::string& group, const std::string& version) { entries_.erase({group, version}); }

 private:
  using GroupVersion = std::pair<std::string, std::string>;
  struct Entry {
    std::shared_ptr<const KnownResources> resources;
    MonoTime asked{};
  };
  // An answer that is fresh enough, or a new one where `again`.
  Task<Status> fetch(GroupVersion wanted, bool again);
  std::shared_ptr<const KnownResources> share(const kube::ApiResources& resources);

  Loop& loop_;
  kube::KubeTransport& transport_;
  SharedDiscovery& shared_;
  std::map<GroupVersion, Entry> entries_;
  std::map<GroupVersion, std::shared_ptr<Semaphore>> asking_;
};

}  // namespace gs::fleet
