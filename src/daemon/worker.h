// What one loop has to do the work with: how it dials clusters and delegates, and its engine. Made and
// destroyed on that loop's thread, or while the loop does not run.
#pragma once

#include <memory>

#include "control/engine.h"
#include "daemon/options.h"
#include "daemon/webhook_events.h"
#include "daemon/webhook_listener.h"
#include "kube/process.h"
#include "net/dns.h"
#include "net/tcp.h"

namespace gs::daemon {

// What all loops share; outlives the workers.
struct WorkerDeps {
  WorkerDeps(const McpFlags& f, net::TlsContext& t, Metrics& m) : flags(f), tls(t), metrics(m) {}
  const McpFlags& flags;
  net::TlsContext& tls;
  Metrics& metrics;
  std::shared_ptr<const net::TrustStore> delegate_trust;  // null: the machine's authorities
  store::StateStore* state = nullptr;                     // null: none is kept
  std::shared_ptr<const net::TrustStore> events_trust;    // likewise, of --events-sink
  std::shared_ptr<const net::TrustStore> webhook_client_trust;  // null: API servers need no certificate
  delegate::CredentialFiles delegate_credentials;         // as they were at the start; each loop follows them
};

class Worker {
 public:
  // Lists that may run at once; spreads a fleet's start.
  static constexpr size_t kConcurrentLists = 32;
  static constexpr size_t kConcurrentHandshakes = 16;

  Worker(UvLoop& loop, const WorkerDeps& deps);

  control::Engine& engine() { return *engine_; }
  WebhookListener* webhooks() { return webhooks_.get(); }
  WebhookEvents* events() { return events_.get(); }
  // No more reviews; what is in flight is dropped.
  void close_webhooks() { webhooks_.reset(); }
  // Where untrusted kubeconfigs may not lead, besides --cluster-deny-cidrs: the hub itself.
  Status deny_hub(const std::vector<net::IpAddress>& addresses);

 private:
  const McpFlags& flags_;
  net::CaresResolver resolver_;
  net::DestinationFilter filter_;
  net::DestinationFilter untrusted_filter_;
  net::TcpConnector cluster_tcp_;
  net::TcpConnector untrusted_tcp_;
  net::TcpConnector delegate_tcp_;
  kube::UvProcessRunner processes_;
  Semaphore list_permits_;
  Semaphore handshakes_;
  fleet::ClusterDeps cluster_deps_;
  delegate::Credentials credentials_;
  std::unique_ptr<WebhookEvents> events_;  // null: nobody is told
  std::unique_ptr<control::Engine> engine_;
  std::unique_ptr<WebhookListener> webhooks_;  // null: none are served
};

}  // namespace gs::daemon
