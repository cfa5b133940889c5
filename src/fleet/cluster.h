// Cluster: the connection to one attached cluster and its caches. Lives on one loop, owned by the
// engine; made anew when its kubeconfig changes.
#pragma once

#include <memory>
#include <string>

#include "base/ids.h"
#include "cache/informer.h"
#include "fleet/discovery_cache.h"
#include "kube/cluster_connector.h"
#include "runtime/task_scope.h"

namespace gs::fleet {

// What a source says of a cluster. Equal specs need no reconnect.
struct ClusterSpec {
  std::string tenant;  // the hub's namespace, or empty
  std::string name;
  std::string uid;     // of the Cluster object
  std::string labels = "{}";  // raw JSON
  bool paused = false;
  // The kubeconfig comes from a Secret: read by KubeconfigPolicy::untrusted(), it dials only where the
  // rules for such clusters let it, runs no plugin, and takes no proxy from our environment.
  bool untrusted = false;
  // Its texts are kilobytes: one copy for all who hold the spec. Null where there is `error`, and while paused.
  std::shared_ptr<const kube::ConnectionConfig> connection;
  std::string error;   // why there is no connection (a broken kubeconfig); empty: there is
  std::string error_reason;  // CamelCase, for conditions
  std::string digest;  // of all that a reconnect depends on
  // Of the files that a kubeconfig names. A connection re-reads them itself; a cluster that could not be
  // attached is tried again when they change.
  std::string files_digest;

  std::string key() const { return tenant.empty() ? name : tenant + "/" + name; }
};

// What is observed of it.
struct ClusterFacts {
  bool reachable = false;
  std::string version;      // "v1.36.3"
  std::string observed_id;  // UID of kube-system
  std::string error;        // of the last probe
  MonoTime last_seen{};
};

// What clusters of a loop share; outlives them.
struct ClusterDeps {
  ClusterDeps(Loop& l, net::TlsContext& t, net::Connector& c) : loop(l), tls(t), tcp(c) {}
  Loop& loop;
  net::TlsContext& tls;
  // For operators' own kubeconfigs, and what `tcp` refuses to dial (null: nothing).
  net::Connector& tcp;
  const net::DestinationFilter* filter = nullptr;
  // The same for untrusted ones; while either is null those are not connected at all.
  net::Connector* untrusted_tcp = nullptr;
  const net::DestinationFilter* untrusted_filter = nullptr;
  Semaphore* handshakes = nullptr;  // how many run at once; null: no limit
  // Runs credential plugins of trusted kubeconfigs; null: those are refused.
  kube::ProcessRunner* processes = nullptr;
  std::string user_agent = kube::default_user_agent();
  // More than a reconcile has in flight at a time, and too few to be in the way of watches.
  size_t writes_on_watches = 4;
  cache::ReflectorOptions reflector;
  SharedDiscovery discovery;
};

class Cluster {
 public:
  class Observer {
   public:
    virtual void facts_changed(Cluster& cluster) = 0;

   protected:
    ~Observer() = default;
  };
  // Asks /version and kube-system at the start, after failures, when an informer is in trouble, and this
  // often otherwise.
  static constexpr Duration kProbePeriod = std::chrono::minutes(5);
  static constexpr Duration kSoonest = std::chrono::seconds(2);  // after the last probe
  static constexpr Duration kProbeTimeout = std::chrono::seconds(30);
  static constexpr Duration kFirstRetry = std::chrono::seconds(1);
  static constexpr Duration kLastRetry = std::chrono::seconds(60);

  // kInvalid, kUnsupported or kForbidden name what is wrong with the kubeconfig.
  static Result<std::unique_ptr<Cluster>> connect(ClusterDeps& deps, ClusterSpec spec, ClusterId id, Observer& observer);

  ClusterId id() const { return id_; }
  const ClusterSpec& spec() const { return spec_; }
  const ClusterFacts& facts() const { return facts_; }
  kube::KubeTransport& transport() { return *transport_; }
  cache::InformerSet& informers() { return *informers_; }
  DiscoveryCache& discovery() { return *discovery_; }

 private:
  Cluster(ClusterDeps& deps, ClusterSpec spec, ClusterId id, Observer& observer);
  Task<void> watch_health();
  Task<bool> look(kube::Lane lane);
  Task<Status> probe(kube::Lane lane);
  void note(const Status& status);

  ClusterDeps& deps_;
  ClusterSpec spec_;
  ClusterId id_;
  Observer& observer_;
  ClusterFacts facts_;
  std::unique_ptr<kube::HttpTransport> transport_;
  std::unique_ptr<cache::InformerSet> informers_;
  std::unique_ptr<DiscoveryCache> discovery_;
  Event trouble_;
  TaskScope scope_;
};

}  // namespace gs::fleet
