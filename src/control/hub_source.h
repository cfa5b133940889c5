// A Kubernetes API as the source: a hub (`--hub-kubeconfig`), whose Clusters name Secrets with kubeconfigs,
// or one cluster that is hub and tenant at once (`--kubeconfig`, `--in-cluster`). Watches, through the
// informers that tenants' caches use too:
//   Controllers; Webhooks, where their CRD is installed; Clusters (hub); each Secret that a Cluster names, by its name and never another (as a
//   kubelet does); Namespaces where a namespaceSelector needs their labels; ConfigMaps of the plane's own
//   namespace where a Controller has configs of `source: Hub`.
// Lives on loop 0. What changed within kSettle is handed to the sink as one.
#pragma once

#include <map>
#include <memory>

#include "cache/informer.h"
#include "control/hub_cluster.h"
#include "control/source.h"

namespace gs::control {

struct HubOptions {
  std::string ns = "gulfstream";  // the plane's own namespace in the hub
  // Hub and tenant at once: this is the only cluster, and there are no Cluster resources.
  std::optional<fleet::ClusterSpec> self;
  kube::KubeconfigPolicy policy = kube::KubeconfigPolicy::untrusted();
};

class HubSource final : public Source {
 public:
  static constexpr Duration kSettle = std::chrono::milliseconds(50);
  // A CRD or a permission that is missing is looked for this often.
  static constexpr Duration kKick = std::chrono::seconds(5);

  // Lists that may run at once: a hub has a watch for each Cluster's Secret.
  static constexpr size_t kConcurrentLists = 64;

  // `hub` outlives the source.
  HubSource(Loop& loop, kube::KubeTransport& hub, HubOptions options, Sink sink);
  ~HubSource() override;

  bool synced() const override { return complete_; }
  std::string problem() const override;

  // Calls each(object) for the Controllers or Clusters as the hub last told them, for status.
  template <class Each>
  void for_each_controller(Each each) const {
    controllers_store().for_each({}, each);
  }
  template <class Each>
  void for_each_webhook(Each each) const {
    webhooks_store().for_each({}, each);
  }
  template <class Each>
  void for_each_cluster(Each each) const {
    if (const cache::Store* store = clusters_store()) store->for_each({}, each);
  }

 private:
  class Watched;
  struct ClusterEntry;

  const cache::Store& controllers_store() const;
  const cache::Store* clusters_store() const;
  const cache::Store& webhooks_store() const;
  std::unique_ptr<Watched> watch(cache::GroupVersionResource resource, std::string ns, std::string name);
  void changed();
  void kick();
  void rebuild();
  void read_controllers(Desired& out);
  void read_webhooks(Desired& out);
  void read_clusters(Desired& out);
  bool read_cluster(const kube::ObjectRef& cluster, Desired& out);
  bool read_optional(Desired& out);
  void tell_problem();

  HubOptions options_;
  Sink sink_;
  Semaphore list_permits_;
  cache::InformerSet informers_;
  std::unique_ptr<Watched> controllers_;
  std::unique_ptr<Watched> webhooks_;    // a hub from before they were there has none, and that is well
  std::unique_ptr<Watched> clusters_;    // null: one cluster is all
  std::unique_ptr<Watched> namespaces_;  // null: nobody needs them
  std::unique_ptr<Watched> configs_;     // likewise
  std::map<std::pair<std::string, std::string>, std::unique_ptr<Watched>> secrets_;  // by namespace and name
  std::map<std::pair<std::string, std::string>, ClusterEntry> entries_;              // what was made of each Cluster
  bool complete_ = false;  // all that Clusters name was read once
  size_t pending_ = 0;     // Clusters whose Secrets are not known yet
  std::string told_problem_;
  CallbackTimer settle_;
  CallbackTimer kick_;
};

}  // namespace gs::control
