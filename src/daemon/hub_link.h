// The connection to the API server that is the source: its transport, which status and the Lease use too,
// and its addresses, which untrusted kubeconfigs may not reach. On loop 0.
#pragma once

#include <functional>
#include <memory>

#include "kube/cluster_connector.h"
#include "kube/process.h"
#include "net/dns.h"
#include "net/tcp.h"
#include "runtime/task_scope.h"

namespace gs::daemon {

class HubLink {
 public:
  static constexpr Duration kResolveAgain = std::chrono::minutes(1);
  static constexpr Duration kResolveTimeout = std::chrono::seconds(10);
  // A watch for each Secret that a Cluster names: more streams than a tenant ever needs.
  static constexpr size_t kMaxConnections = 256;

  // kInvalid, kUnsupported name what is wrong with the kubeconfig.
  static Result<std::unique_ptr<HubLink>> make(UvLoop& loop, net::TlsContext& tls, kube::ConnectionConfig config);

  kube::KubeTransport& transport() { return *transport_; }
  const std::string& server() const { return config_.server.text; }
  // Resolves the hub's name now and every minute; `found` is called when the addresses changed, and once
  // with none if the first attempt fails (the name may be a proxy's to resolve).
  void follow_addresses(std::function<void(const std::vector<net::IpAddress>&)> found);

 private:
  HubLink(UvLoop& loop, kube::ConnectionConfig config);
  Task<void> resolve();

  UvLoop& loop_;
  kube::ConnectionConfig config_;
  net::CaresResolver resolver_;
  net::TcpConnector tcp_;
  kube::UvProcessRunner processes_;
  std::unique_ptr<kube::HttpTransport> transport_;
  std::function<void(const std::vector<net::IpAddress>&)> found_;
  TaskScope scope_;
};

}  // namespace gs::daemon
