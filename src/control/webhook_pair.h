// WebhookPair: a Webhook in a cluster. Its target answers reviews, its configurator points the cluster's configurations
// to the plane, and when it goes they are given back. Lives on its cluster's loop; owned by WebhookPairs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "control/config_objects.h"
#include "control/event_recorder.h"
#include "control/webhook_spec.h"
#include "delegate/client_set.h"
#include "fleet/cluster.h"
#include "webhook/configurator.h"
#include "webhook/review_service.h"
#include "webhook/session_reviewer.h"
#include "webhook/target.h"

namespace gs::control {

// What pairs of a loop share; outlives them.
struct WebhookDeps {
  WebhookDeps(Loop& l, fleet::ClusterDeps& c, delegate::ClientSet& d, const HubConfigs& h) : loop(l), clusters(c), clients(d), hub(h) {}
  Loop& loop;
  fleet::ClusterDeps& clusters;
  delegate::ClientSet& clients;
  const HubConfigs& hub;
  webhook::ReviewServices* services = nullptr;
  webhook::ConversionCache* cache = nullptr;
  webhook::EventsSink* events = nullptr;
  webhook::PlaneEndpoint plane;
  bool own_cluster = false;  // as in EngineDeps
};

class WebhookPair final : private webhook::Configurator::Observer {
 public:
  class Observer {
   public:
    virtual void webhook_pair_changed() = 0;
    // Another target answers now.
    virtual void target_replaced(WebhookPair& pair) = 0;

   protected:
    ~Observer() = default;
  };

  WebhookPair(WebhookDeps& deps, PairId id, std::shared_ptr<const WebhookSpec> spec, kube::ServerUrl delegate, fleet::Cluster& cluster,
              webhook::Services& services, webhook::WebhookMetrics& metrics, Observer& observer);
  ~WebhookPair();

  void adopt(std::shared_ptr<const webhook::Material> material, bool write);
  // Gives back what is configured; the target answers on.
  void release(webhook::OnDelete how);
  bool releasing() const { return releasing_; }
  bool released() const { return releasing_ && configurator_->state().released; }
  void hub_configs_changed() { configs_->hub_changed(); }

  const WebhookSpec& spec() const { return *spec_; }
  fleet::Cluster& cluster() const { return cluster_; }
  const std::shared_ptr<webhook::Target>& target() const { return target_; }
  const webhook::ConfiguratorState& configured() const { return configurator_->state(); }
  const webhook::Configurator& configurator() const { return *configurator_; }
  // CamelCase and words; empty: nothing is wrong.
  std::pair<std::string, std::string> trouble() const;
  delegate::ClientHealth delegate_health() const;

 private:
  void configurator_changed() override;
  void drift_mended(const kube::ObjectRef& configuration, const std::string& what) override;
  void configs_changed();
  webhook::TargetOptions target_options() const;
  void make_target(std::unique_ptr<webhook::Reviewer> reviewer);
  std::unique_ptr<webhook::Reviewer> make_reviewer();

  WebhookDeps& deps_;
  PairId id_;
  std::shared_ptr<const WebhookSpec> spec_;
  kube::ServerUrl delegate_;
  fleet::Cluster& cluster_;
  webhook::WebhookMetrics& metrics_;
  Observer& observer_;
  bool releasing_ = false;
  webhook::SessionReviewer* session_ = nullptr;  // the target's; null: none yet, or by Review
  bool reviewing_ = false;                       // the target has its reviewer
  std::shared_ptr<webhook::Target> target_;
  EventRecorder recorder_;
  std::unique_ptr<ConfigObjects> configs_;
  std::unique_ptr<webhook::Configurator> configurator_;
};

}  // namespace gs::control
