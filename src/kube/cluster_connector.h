// ClusterConnector: the connections to one API server as its kubeconfig describes them: TCP, or a proxy
// over it, and TLS on top. Lives on its cluster's loop.
#pragma once

#include <memory>
#include <string>

#include "kube/http_transport.h"
#include "net/cidr.h"
#include "net/proxy.h"
#include "net/tls.h"

namespace gs::kube {

// What clusters of a loop share; outlives them.
struct ConnectorDeps {
  ConnectorDeps(Loop& l, net::TlsContext& t, net::Connector& c) : loop(l), tls(t), tcp(c) {}
  Loop& loop;
  net::TlsContext& tls;
  net::Connector& tcp;                             // with the rules of destinations where they apply
  const net::DestinationFilter* filter = nullptr;  // the same rules, for what goes through a proxy
  Semaphore* handshakes = nullptr;                 // how many run at once; null: no limit
};

class ClusterConnector final : public SecureConnector {
 public:
  // kInvalid: certificates, a key or a proxy's URL that cannot be read; names the field.
  static Result<std::unique_ptr<ClusterConnector>> make(const ConnectorDeps& deps, const ConnectionConfig& config);

  Task<Result<std::unique_ptr<net::ByteStream>>> connect(net::Endpoint endpoint, MonoTime deadline) override;
  Status set_identity(const std::string& certificate_pem, const std::string& key_pem) override;
  bool watches_files() const override { return !ca_file_.empty(); }
  Task<void> refresh() override;
  uint64_t generation() const override { return generation_; }
  std::optional<WallTime> identity_ends() const override;

 private:
  explicit ClusterConnector(const ConnectorDeps& deps) : deps_(deps) {}
  Status build(const ConnectionConfig& config);

  ConnectorDeps deps_;
  net::TlsOptions options_;
  std::string ca_file_;
  std::string ca_pem_;
  uint64_t generation_ = 1;
  std::unique_ptr<net::Connector> to_proxy_;
  std::unique_ptr<net::Connector> proxy_;
  std::unique_ptr<net::TlsConnector> tls_;
  net::Connector* top_ = nullptr;
};

// What HTTPS_PROXY (for an http server HTTP_PROXY), in either case, and NO_PROXY say about a server that
// has no proxy-url; empty: to be dialled directly. For operators' own kubeconfigs, as client-go does it.
std::string proxy_from_environment(const ServerUrl& server);

// All of it: a transport with connections, credentials and their renewal. `processes` (may be null) runs
// exec plugins. kInvalid or kUnsupported name the field that is wrong.
Result<std::unique_ptr<HttpTransport>> make_transport(const ConnectorDeps& deps, const ConnectionConfig& config,
                                                      ProcessRunner* processes, HttpTransportOptions options);

}  // namespace gs::kube
