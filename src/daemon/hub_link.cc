#include "daemon/hub_link.h"

#include <algorithm>

#include "base/log.h"

namespace gs::daemon {

HubLink::HubLink(UvLoop& loop, kube::ConnectionConfig config)
    : loop_(loop), config_(std::move(config)), resolver_(loop), tcp_(loop, resolver_, nullptr), processes_(loop), scope_(loop) {}

Result<std::unique_ptr<HubLink>> HubLink::make(UvLoop& loop, net::TlsContext& tls, kube::ConnectionConfig config) {
  if (config.proxy_url.empty()) config.proxy_url = kube::proxy_from_environment(config.server);
  std::unique_ptr<HubLink> link(new HubLink(loop, std::move(config)));
  const kube::ConnectorDeps deps(loop, tls, link->tcp_);
  kube::HttpTransportOptions options;
  options.max_http2_connections = kMaxConnections;
  GS_TRY(link->transport_, kube::make_transport(deps, link->config_, &link->processes_, std::move(options)));
  return link;
}

void HubLink::follow_addresses(std::function<void(const std::vector<net::IpAddress>&)> found) {
  found_ = std::move(found);
  scope_.spawn(resolve());
}

Task<void> HubLink::resolve() {
  std::vector<net::IpAddress> known;
  bool told = false;
  while (true) {
    const MonoTime deadline = saturating_add(loop_.now(), kResolveTimeout);
    auto resolving = resolver_.resolve(config_.server.host, deadline);
    auto addresses = co_await resolving;
    if (!addresses) log::warning("the hub's own addresses are not known", {{"err", addresses.error()}});
    if (addresses) std::sort(addresses->begin(), addresses->end());
    const bool changed = addresses && *addresses != known;
    if (changed) known = *std::move(addresses);
    if (changed || !told) found_(known);
    told = true;
    co_await sleep_for(loop_, loop_.random().jitter(kResolveAgain, 0.2));
  }
}

}  // namespace gs::daemon
