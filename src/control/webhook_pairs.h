// WebhookPairs: the Webhooks of one loop in its clusters. Makes and ends pairs as the engine makes and ends those of
// Controllers, and keeps the table by which reviews find their target. On its loop; owned by the engine.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "control/engine.h"
#include "control/webhook_pair.h"
#include "webhook/conversion_cache.h"
#include "webhook/server.h"

namespace gs::control {

class WebhookPairs final : private WebhookPair::Observer {
 public:
  // What leaves a cluster is given back within this, else it stays as it is, and that is said.
  static constexpr Duration kReleaseTime = std::chrono::seconds(30);
  // API servers may call a target for a moment after its configuration was given back.
  static constexpr Duration kLinger = std::chrono::seconds(10);
  // What a pair has in flight is answered by it, though a successor has taken its place: Kubernetes' longest timeout.
  static constexpr Duration kLastReviews = std::chrono::seconds(30);
  static constexpr Duration kLookAgain = std::chrono::milliseconds(100);

  using ClusterView = WebhookCluster;
  struct Deps {
    Deps(WebhookDeps d, Metrics& m) : webhooks(std::move(d)), metrics(m) {}
    WebhookDeps webhooks;
    Metrics& metrics;
    std::function<PairId()> new_id;
    std::function<Result<kube::ServerUrl>(const std::string&)> delegate_url;  // reads and judges it
    std::function<void()> changed;
    bool serving = false;  // --listen
  };

  explicit WebhookPairs(Loop& loop, Deps deps);
  ~WebhookPairs();

  // The whole of what is wanted, each time; `clusters` of this loop, those that are going too.
  void apply(const std::vector<Desired::Webhook>& wanted, const std::vector<ClusterView>& clusters, const Desired& desired);
  // What to serve with; `write`: this plane leads.
  void adopt(std::shared_ptr<const webhook::Material> material, bool write);
  void hub_configs_changed();

  webhook::Targets& targets() { return table_; }
  // Whether something still works with this cluster.
  bool uses(const fleet::Cluster* cluster) const;
  bool settled() const;
  void report(Report& out, const std::vector<ClusterView>& clusters, const Desired& desired) const;
  void count(MetricSums& out) const;

 private:
  struct Wanted;
  struct Slot;
  struct ClusterState;

  void apply_webhooks(const std::vector<Desired::Webhook>& wanted);
  void apply_slots(const std::vector<ClusterView>& clusters, const Desired& desired);
  void start(Wanted& wanted, fleet::Cluster& cluster);
  void retire(Slot& slot, webhook::OnDelete how, Duration within);
  void sweep();
  void list(Slot& slot);
  void unlist(Slot& slot);
  void webhook_pair_changed() override;
  void target_replaced(WebhookPair& pair) override;

  Loop& loop_;
  Deps deps_;
  webhook::ConversionCache cache_;
  webhook::TargetTable table_;
  std::shared_ptr<const webhook::Material> material_;
  bool write_ = false;
  std::map<std::string, std::unique_ptr<Wanted>> wanted_;                      // by name
  std::map<std::string, std::unique_ptr<webhook::WebhookMetrics>> metrics_;    // by name; kept, as series are
  std::map<fleet::Cluster*, std::unique_ptr<webhook::Services>> services_;
  std::vector<std::unique_ptr<Slot>> slots_;
  uint64_t departed_drifts_ = 0, departed_writes_ = 0;
  CallbackTimer sweep_;
};

}  // namespace gs::control
