// One embedded cluster and its port: an ApiServer behind HTTPS (HTTP/1.1 and HTTP/2), with /metrics. Lives on one loop.
#pragma once

#include <memory>
#include <string>

#include "apiserver/api_server.h"
#include "apiserver/authenticator.h"
#include "embedded/webhook_caller.h"
#include "net/http_server.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace gs::embedded {

// What all clusters of a process share; outlives them.
struct ClusterDeps {
  ClusterDeps(net::TlsContext& t, const apiserver::Authenticator& a) : tls(t), authenticator(a) {}
  net::TlsContext& tls;
  const apiserver::Authenticator& authenticator;
};

class ServedCluster final : public net::HttpHandler {
 public:
  // `file`: where objects are kept; empty: in memory. Blocks. Errors, in words, of a file that cannot be used.
  static Result<std::unique_ptr<ServedCluster>> open(UvLoop& loop, const ClusterDeps& deps, apiserver::ApiServerOptions options, const std::string& file);
  ~ServedCluster();

  // `host` is numeric; port 0: any free one. kUnavailable: it is taken.
  Status listen(const std::string& host, uint16_t port);
  uint16_t port() const { return listener_->port(); }
  // For connections from now on.
  void serve_with(net::TlsServerOptions options) { tls_.set_options(std::move(options)); }
  apiserver::ApiServer& api() { return *api_; }

  // Takes no more connections; answers what is in flight, then ends watches and connections. At the deadline whatever is left.
  Task<void> drain(MonoTime deadline);

  Task<void> handle(net::HttpExchange& exchange) override;

 private:
  ServedCluster(UvLoop& loop, const ClusterDeps& deps, std::unique_ptr<apiserver::ApiServer> api);
  std::string metrics();

  UvLoop& loop_;
  std::unique_ptr<apiserver::ApiServer> api_;
  WebhookCaller webhooks_;
  std::unique_ptr<net::HttpServer> http_;
  net::TlsAcceptor tls_;
  std::unique_ptr<net::TcpListener> listener_;
};

}  // namespace gs::embedded
