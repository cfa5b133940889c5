// Engine: brings Controllers and clusters of one loop to life. It is told what is wanted (apply) and
// makes the difference: connects and drops clusters, starts and stops pairs, and moves work from the
// queue to delegates. Everything here runs on its loop.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "control/pair.h"
#include "control/report.h"
#include "control/webhook_spec.h"
#include "delegate/client_set.h"
#include "delegate/credentials.h"
#include "fleet/cluster.h"
#include "net/dns.h"
#include "webhook/configurator.h"
#include "webhook/review_service.h"
#include "webhook/server.h"

namespace gs::control {

class WebhookPairs;

// A cluster of the engine, as its Webhooks see it.
struct WebhookCluster {
  const fleet::ClusterSpec* spec = nullptr;
  fleet::Cluster* cluster = nullptr;  // null: it cannot be attached
  bool going = false;                 // it is on its way out,
  bool gone_for_good = false;         // and nobody takes its place
};

// What is wanted: the whole of it, each time. Plain data and immutable snapshots, so it may be copied to
// any loop.
struct Desired {
  // A Controller that could not be read keeps its name and says why.
  struct Controller {
    std::string name;
    std::shared_ptr<const ControllerSpec> spec;  // null: `error`
    std::string error;
  };
  struct Webhook {
    std::string name;
    std::shared_ptr<const WebhookSpec> spec;  // null: `error`
    std::string error;
    static Webhook read(std::string name, Result<WebhookSpec> spec) {
      if (!spec) return {std::move(name), nullptr, spec.error().message};
      return {std::move(name), std::make_shared<const WebhookSpec>(*std::move(spec)), ""};
    }
  };
  std::vector<Controller> controllers;
  std::vector<Webhook> webhooks;
  std::vector<fleet::ClusterSpec> clusters;
  // The ConfigMaps of `source: Hub` by name: JSON.
  std::map<std::string, std::string> hub_configs;
  // Labels of the hub's namespaces, raw JSON by name, where a clusterSelector needs them.
  std::map<std::string, std::string> namespace_labels;
  // Without a selector a Controller means all clusters (no hub), or none (a hub).
  bool select_all_by_default = true;
};

struct EngineDeps {
  EngineDeps(fleet::ClusterDeps& c, net::Connector& d, net::Resolver& r, Metrics& m) : clusters(c), delegates(d), resolver(r), metrics(m) {}
  fleet::ClusterDeps& clusters;
  net::Connector& delegates;  // TCP to delegates, without the rules for clusters
  net::Resolver& resolver;    // of delegates' names
  Metrics& metrics;
  std::string identity = "gulfstream";
  bool allow_insecure_delegates = false;
  std::shared_ptr<const net::TrustStore> delegate_trust;  // null: the machine's authorities
  const delegate::Credentials* delegate_credentials = nullptr;  // null: none for anyone; outlives the engine
  Duration reconcile_timeout = std::chrono::minutes(2);
  queue::QueueOptions queue;
  store::StateStore* state = nullptr;  // null: a restart reconciles everything
  std::optional<webhook::PlaneEndpoint> webhooks;  // how API servers reach the plane; unset: it serves no webhooks
  webhook::EventsSink* events = nullptr;           // of webhooks' decisions; null: nobody is told; outlives the engine
  bool own_cluster = false;                        // its one cluster is the one in which delegates' names are looked up
};

class Engine final : public Pair::Observer, public fleet::Cluster::Observer, public HubConfigs, private delegate::Client::Observer {
 public:
  Engine(Loop& loop, EngineDeps deps);
  ~Engine();

  void apply(Desired desired);
  // No new work; true once nothing is in flight, false at the deadline.
  Task<bool> drain(MonoTime deadline);

  // What webhooks are served with; `write`: this plane leads, and writes configurations.
  void serve_webhooks(std::shared_ptr<const webhook::Material> material, bool write);
  webhook::Targets& webhook_targets();
  // Of all that was wanted, also of what could not be begun.
  Report report() const;
  // Grows when the report may have changed.
  uint64_t changes() const { return changes_; }
  // All clusters have been tried and all pairs are synced or say why not.
  bool settled() const;
  // What this loop counts, for /metrics.
  MetricSums metrics() const;
  size_t pairs() const { return pairs_.size(); }
  size_t in_flight() const { return queue_.stats().processing; }

 private:
  struct Controller;
  struct ClusterSlot;
  struct PairSlot;

  bool adopt_hub_configs(const std::map<std::string, std::string>& wanted);
  void apply_clusters(std::vector<fleet::ClusterSpec> wanted);
  void attach(fleet::ClusterSpec spec);
  void apply_controllers(std::vector<Desired::Controller> wanted);
  void apply_pairs();
  std::unique_ptr<delegate::Dialer> make_dialer(const kube::ServerUrl& url) const;
  Result<kube::ServerUrl> delegate_url(const std::string& text) const;
  delegate::DialerDeps dialer_deps() const;
  void make_webhooks();
  std::vector<WebhookCluster> webhook_views() const;
  delegate::ClientHealth delegate_health(const Controller& controller) const;
  void start_pair(Controller& controller, ClusterSlot& cluster);
  // `for_good`: what is known of its keys is forgotten too.
  void retire_pair(PairId id, bool for_good);
  ClusterReport report_of(const ClusterSlot& slot) const;
  void report_unattached(const ClusterSlot& slot, Report& out) const;
  void show_queue(MetricSums& out) const;
  void show_caches(MetricSums& out) const;
  void show_delegates(MetricSums& out) const;
  void count(const PairSlot& slot, MetricSums& out) const;
  void sweep();
  void pump();
  Task<void> run(queue::Work work);

  void work_added() override;
  void pair_state_changed(PairId pair) override;
  void facts_changed(fleet::Cluster& cluster) override;
  kube::ObjectRef hub_config(const std::string& name) const override;
  void ready_changed(DelegateId client, bool ready) override;
  void enqueue(PairId pair, const std::string& ns, const std::string& name, Duration delay) override;
  delegate::CallHandler* pair_calls(PairId pair) override;
  void revision_is(PairId pair, const std::string& revision) override;
  void health_changed(DelegateId) override { ++changes_; }

  Loop& loop_;
  EngineDeps deps_;
  queue::WorkQueue queue_;
  Desired desired_;
  struct HubConfig {
    std::string json;  // as it was given
    kube::ObjectRef object;
  };
  std::map<std::string, HubConfig> hub_configs_;
  delegate::ClientSet clients_;
  // Those that are going stay until their pairs have ended; beside them may be their successors.
  std::vector<std::unique_ptr<Controller>> controllers_;
  std::vector<std::unique_ptr<ClusterSlot>> clusters_;
  std::vector<fleet::ClusterSpec> paused_;
  std::map<PairId, std::unique_ptr<PairSlot>> pairs_;
  uint32_t next_id_ = 1;
  uint64_t changes_ = 0;
  MetricSums departed_;  // what pairs that have ended had counted
  bool draining_ = false;
  WaitQueue progress_;
  std::unique_ptr<webhook::ReviewServices> review_services_;
  std::unique_ptr<WebhookPairs> webhooks_;
  CallbackTimer pump_;
  CallbackTimer sweep_;
  TaskScope scope_;
};

}  // namespace gs::control
