#include "daemon/worker.h"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/webhook_control.h"

namespace gs::daemon {
namespace {

// The flag was checked at the start.
net::DestinationFilter filter_of(const McpFlags& flags, bool untrusted) {
  auto rules = deny_rules(flags, untrusted);
  GS_CHECK(rules.has_value());
  return net::DestinationFilter(std::move(rules->cidrs));
}

}  // namespace

Worker::Worker(UvLoop& loop, const WorkerDeps& deps)
    : flags_(deps.flags),
      resolver_(loop),
      filter_(filter_of(deps.flags, false)),
      untrusted_filter_(filter_of(deps.flags, true)),
      cluster_tcp_(loop, resolver_, &filter_),
      untrusted_tcp_(loop, resolver_, &untrusted_filter_),
      delegate_tcp_(loop, resolver_, nullptr),
      processes_(loop),
      list_permits_(loop, kConcurrentLists),
      handshakes_(loop, kConcurrentHandshakes),
      cluster_deps_(loop, deps.tls, cluster_tcp_),
      credentials_(loop, deps.tls, deps.delegate_credentials) {
  cluster_deps_.filter = &filter_;
  cluster_deps_.untrusted_tcp = &untrusted_tcp_;
  cluster_deps_.untrusted_filter = &untrusted_filter_;
  cluster_deps_.processes = &processes_;
  cluster_deps_.reflector.list_permits = &list_permits_;
  cluster_deps_.handshakes = &handshakes_;
  control::EngineDeps engine(cluster_deps_, delegate_tcp_, resolver_, deps.metrics);
  engine.identity = fmt::format("gulfstream/{}", kVersion);
  engine.allow_insecure_delegates = flags_.allow_insecure_delegates;
  engine.delegate_trust = deps.delegate_trust;
  engine.reconcile_timeout = flags_.reconcile_timeout;
  // Loops share nothing: each has an equal part of a Controller's places, and at least one.
  if (flags_.max_concurrent_reconciles > 0) engine.queue.controller_cap = std::max(1u, flags_.max_concurrent_reconciles / flags_.loops);
  engine.queue.cluster_cap = flags_.max_concurrent_reconciles_per_cluster;
  engine.state = deps.state;
  engine.delegate_credentials = &credentials_;
  if (!flags_.listen.empty()) engine.webhooks = plane_endpoint(flags_).value();
  // Without a hub or a directory the plane has the cluster that it is an agent of.
  engine.own_cluster = !flags_.is_hub() && flags_.config.empty();
  if (!flags_.events_sink.empty()) {
    delegate::DialerDeps dialer(loop, delegate_tcp_, resolver_, deps.tls);
    dialer.trust = deps.events_trust;
    dialer.allow_insecure = flags_.allow_insecure_delegates;
    events_ = std::make_unique<WebhookEvents>(dialer, deps.metrics, flags_);
    engine.events = &events_->sink();
  }
  engine_ = std::make_unique<control::Engine>(loop, std::move(engine));
  if (flags_.listen.empty()) return;
  WebhookListener::Options options;
  options.min_version = flags_.tls_12 ? net::TlsVersion::k1_2 : net::TlsVersion::k1_3;
  options.client_trust = deps.webhook_client_trust;
  options.share_port = flags_.loops > 1;
  webhooks_ = std::make_unique<WebhookListener>(loop, deps.tls, engine_->webhook_targets(), deps.metrics, std::move(options));
}

Status Worker::deny_hub(const std::vector<net::IpAddress>& addresses) {
  GS_TRY(const DenyRules rules, deny_rules(flags_, true));
  if (!rules.hub) return ok();
  net::DestinationFilter filter(rules.cidrs);
  for (const net::IpAddress& address : addresses) {
    GS_TRY(const net::Cidr own, net::Cidr::parse(address.to_string()));
    filter.deny(own);
  }
  untrusted_filter_ = std::move(filter);
  return ok();
}

}  // namespace gs::daemon
