#include "fleet/cluster.h"

#include <algorithm>

#include "base/log.h"
#include "kube/discovery.h"

namespace gs::fleet {
namespace {

Result<std::unique_ptr<kube::HttpTransport>> transport_of(const ClusterDeps& deps, const ClusterSpec& spec) {
  kube::HttpTransportOptions options;
  options.user_agent = deps.user_agent;
  options.writes_on_watches = deps.writes_on_watches;
  GS_CHECK(spec.connection != nullptr);
  if (!spec.untrusted) {
    kube::ConnectorDeps trusted(deps.loop, deps.tls, deps.tcp);
    trusted.filter = deps.filter;
    trusted.handshakes = deps.handshakes;
    kube::ConnectionConfig connection = *spec.connection;
    if (connection.proxy_url.empty()) connection.proxy_url = kube::proxy_from_environment(connection.server);
    return kube::make_transport(trusted, connection, deps.processes, std::move(options));
  }
  if (deps.untrusted_tcp == nullptr || deps.untrusted_filter == nullptr) {
    return fail(Code::kForbidden, "kubeconfigs from Secrets are not connected to by this plane");
  }
  kube::ConnectorDeps filtered(deps.loop, deps.tls, *deps.untrusted_tcp);
  filtered.filter = deps.untrusted_filter;
  filtered.handshakes = deps.handshakes;
  return kube::make_transport(filtered, *spec.connection, nullptr, std::move(options));
}

}  // namespace

Cluster::Cluster(ClusterDeps& deps, ClusterSpec spec, ClusterId id, Observer& observer)
    : deps_(deps), spec_(std::move(spec)), id_(id), observer_(observer), trouble_(deps.loop), scope_(deps.loop) {}

Result<std::unique_ptr<Cluster>> Cluster::connect(ClusterDeps& deps, ClusterSpec spec, ClusterId id, Observer& observer) {
  std::unique_ptr<Cluster> cluster(new Cluster(deps, std::move(spec), id, observer));
  GS_TRY(cluster->transport_, transport_of(deps, cluster->spec_));
  cluster->informers_ = std::make_unique<cache::InformerSet>(deps.loop, *cluster->transport_, deps.reflector);
  cluster->discovery_ = std::make_unique<DiscoveryCache>(deps.loop, *cluster->transport_, deps.discovery);
  cluster->informers_->on_trouble([self = cluster.get()] { self->trouble_.set(); });
  cluster->scope_.spawn(cluster->watch_health());
  return cluster;
}

Task<Status> Cluster::probe(kube::Lane lane) {
  const MonoTime deadline = saturating_add(deps_.loop.now(), kProbeTimeout);
  auto asking_version = kube::server_version(*transport_, spec_.connection->server.text, lane, deadline);
  GS_CO_TRY(facts_.version, co_await asking_version);
  auto asking_id = kube::cluster_uid(*transport_, lane, deadline);
  auto id = co_await asking_id;
  if (id) {
    facts_.observed_id = *std::move(id);
  } else if (id.error().code == Code::kUnauthorized || id.error().code == Code::kUnavailable) {
    co_return fail(std::move(id).error());
  }
  // Not being allowed to read kube-system is no fault: the id is only to show.
  co_return ok();
}

void Cluster::note(const Status& status) {
  const ClusterFacts before = facts_;
  facts_.reachable = status.has_value();
  facts_.error = status ? "" : status.error().message;
  if (status) {
    facts_.last_seen = deps_.loop.now();
    // What waited for the cluster need not wait out its backoff.
    if (!before.reachable) informers_->kick();
  }
  if (before.reachable == facts_.reachable && before.error == facts_.error) return;
  if (status) {
    log::info("cluster is reachable", {{"cluster", spec_.key()}, {"version", facts_.version}, {"id", facts_.observed_id}});
  } else {
    log::warning("cluster is not reachable", {{"cluster", spec_.key()}, {"err", facts_.error}});
  }
}

// Asks, and tells what changed.
Task<bool> Cluster::look(kube::Lane lane) {
  const std::string shown = facts_.version + "\n" + facts_.observed_id + "\n" + facts_.error;
  auto probing = probe(lane);
  Status status = co_await probing;
  if (!status && status.error().code == Code::kUnauthorized) status = fail(transport_->explain_refusal(std::move(status).error()));
  note(status);
  if (shown != facts_.version + "\n" + facts_.observed_id + "\n" + facts_.error) observer_.facts_changed(*this);
  co_return status.has_value();
}

Task<void> Cluster::watch_health() {
  Duration retry = kFirstRetry;
  kube::Lane lane = kube::Lane::kWatch;
  while (true) {
    trouble_.clear();  // what comes while we look is looked at again
    const bool reached = co_await look(lane);  // its frame is not kept while we wait
    const Duration wait = reached ? kProbePeriod : retry;
    retry = reached ? kFirstRetry : std::min(retry * 2, kLastRetry);
    const MonoTime until = saturating_add(deps_.loop.now(), deps_.loop.random().jitter(wait, 0.2));
    lane = kube::Lane::kWatch;
    if (!reached) {
      co_await sleep_until(deps_.loop, until);
      continue;
    }
    const MonoTime soonest = saturating_add(deps_.loop.now(), kSoonest);
    const bool trouble = co_await trouble_.wait(until);
    // The watches' connection may be what is wrong.
    if (trouble) lane = kube::Lane::kRequest;
    co_await sleep_until(deps_.loop, std::min(soonest, until));
  }
}

}  // namespace gs::fleet
