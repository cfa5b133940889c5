// Configurator: keeps the configurations that one Webhook means in one cluster pointed to the plane, and gives them back
// when the Webhook goes. Watches them by name or label; writes only where something differs, guarded by what it saw
// (configuration.h), and only where this plane leads. Lives on the cluster's loop.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "cache/informer.h"
#include "net/tls.h"
#include "runtime/task_scope.h"
#include "webhook/certificates.h"
#include "webhook/services.h"

namespace gs::webhook {

// How the plane is reached, the same for all clusters.
struct PlaneEndpoint {
  std::string base;  // --webhook-url: "https://host:port"
  std::string host;
  int64_t port = 443;
  ServiceMode services = ServiceMode::kExternalName;
  bool prefixes = true;  // false: the plane has one cluster by construction
};

struct ConfiguratorOptions {
  std::string webhook;
  std::string user;  // of Services; a successor beside it has another. Empty: the webhook's name
  ConfigurationRef ref;
  std::string cluster_uid;
  PlaneEndpoint plane;
  std::optional<int64_t> timeout_seconds;
};

struct ConfiguratorState {
  bool synced = false;         // the configurations are known
  size_t configurations = 0;   // that are meant
  std::string reason, message; // CamelCase and words; empty: all is as it should be
  std::set<std::string> services;         // host names by which configurations call the plane
  std::optional<uint64_t> carried;        // revision of the Material that all of them carry
  std::optional<int64_t> timeout_seconds; // the shortest that a configuration has
  std::string identity;                   // of all of them: changes with any, for caches
  bool released = false;                  // release() has nothing left to do
  bool operator==(const ConfiguratorState&) const = default;
};

class Configurator final : private cache::InformerHandler {
 public:
  class Observer {
   public:
    virtual void configurator_changed() = 0;
    // What somebody changed was changed back.
    virtual void drift_mended(const kube::ObjectRef& configuration, const std::string& what) = 0;

   protected:
    ~Observer() = default;
  };
  struct Deps {
    Deps(Loop& l, kube::KubeTransport& t, cache::InformerSet& i, Services& s, net::TlsContext& c, net::Connector& p)
        : loop(l), transport(t), informers(i), services(s), tls(c), tcp(p) {}
    Loop& loop;
    kube::KubeTransport& transport;
    cache::InformerSet& informers;
    Services& services;
    net::TlsContext& tls;
    net::Connector& tcp;  // for probes of former endpoints, with the rules of the cluster's
  };

  // What failed is tried again after this; writes against somebody who keeps changing it wait longer each time.
  static constexpr Duration kRetry = std::chrono::seconds(5);
  static constexpr Duration kFirstPatience = std::chrono::seconds(1);
  static constexpr Duration kLastPatience = std::chrono::minutes(5);
  static constexpr Duration kPeace = std::chrono::minutes(10);  // after which all is forgiven
  static constexpr Duration kTimeout = std::chrono::seconds(30);
  static constexpr Duration kProbeTimeout = std::chrono::seconds(5);

  Configurator(Deps deps, ConfiguratorOptions options, Observer& observer);
  ~Configurator();

  // What is served with; `write`: this plane leads.
  void adopt(std::shared_ptr<const Material> material, bool write);
  // No more configuring: gives back what is ours. Called again when the answer to `how` changes.
  void release(OnDelete how);

  const ConfiguratorState& state() const { return state_; }
  uint64_t drifts() const { return drifts_; }
  uint64_t writes() const { return writes_; }

 private:
  // What is known of one configuration beyond the cache.
  struct Known {
    std::string written_version;  // by us; older ones that the watch still shows are not acted on
    std::string failed_version;   // that a write was refused for: the watch has to move on
    uint64_t material = 0;        // that was written last
    MonoTime not_before{};        // of the next mending
    MonoTime mended_at{};
    Duration patience = kFirstPatience;
  };
  struct Pass;

  void on_added(const kube::ObjectRef&, bool) override { wake_.set(); }
  void on_updated(const kube::ObjectRef&, const kube::ObjectRef&) override { wake_.set(); }
  void on_deleted(const kube::ObjectRef& last, bool tombstone) override;
  void on_synced() override { wake_.set(); }
  void on_health(cache::Health, const std::string&) override { wake_.set(); }

  Task<void> run();
  Task<void> configure_all(Pass& pass);
  Task<void> configure(Pass& pass, kube::ObjectRef object);
  Task<Status> lead_services(Pass& pass, std::vector<ServiceRef> services);
  Task<Status> patch(std::string name, json::Value patch);
  Task<void> release_all(Pass& pass);
  Task<void> release_one(Pass& pass, std::string name, json::Value configuration);
  Task<void> release_strays(Pass& pass);
  Task<Status> probe(PreviousEndpoint endpoint);
  bool mending_waits(Pass& pass, Known& known);
  Endpoint endpoint() const;
  bool not_synced(Pass& pass);
  std::vector<kube::ObjectRef> objects() const;

  Deps deps_;
  ConfiguratorOptions options_;
  Observer& observer_;
  std::shared_ptr<const Material> material_;
  bool write_ = false;
  bool releasing_ = false;
  OnDelete how_ = OnDelete::kAsk;
  ConfiguratorState state_;
  std::map<std::string, Known> known_;  // by name
  std::set<std::string> strays_;        // names that left the selection: ours may still be in them
  uint64_t drifts_ = 0;
  uint64_t writes_ = 0;
  Event wake_;
  cache::InformerHandle handle_;
  TaskScope scope_;
};

}  // namespace gs::webhook
