// The HTTPS side of webhooks on one loop: a listener (its port shared by all loops), TLS with what the plane serves at
// present, and the server that finds targets. A review of a cluster that lives on another loop is handed over and its
// answer comes back. Made and used on its loop.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "net/http_server.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "webhook/certificates.h"
#include "webhook/server.h"

namespace gs::daemon {

// --listen, read: numeric host and port.
struct ListenAddress {
  std::string host;
  uint16_t port = 0;
  // "HOST:PORT", ":PORT" (all addresses), "[::1]:PORT". Errors name the flag.
  static Result<ListenAddress> parse(const std::string& flag, const std::string& text);
};

// Which loop a prefix leads to. An immutable snapshot, made on loop 0 for all.
class WebhookRoutes {
 public:
  struct Route {
    size_t worker = 0;
    std::string cluster;  // its key
  };
  WebhookRoutes() : salt_(webhook::random_bytes(32)) {}
  void add(std::string_view prefix, Route route) { routes_[webhook::hmac_sha256(salt_, prefix)] = std::move(route); }
  // By a keyed digest: timing tells nothing of a prefix. Null: no such prefix.
  const Route* find(std::string_view prefix) const;

 private:
  std::string salt_;
  std::unordered_map<std::string, Route> routes_;
};

// The workers of a process, as a review is handed from one to another.
struct WebhookPeer {
  Loop* loop = nullptr;
  TaskScope* scope = nullptr;  // of that loop
  webhook::Targets* targets = nullptr;
};

class WebhookListener final : private net::Listener::Acceptor, private webhook::Targets {
 public:
  struct Options {
    net::TlsVersion min_version = net::TlsVersion::k1_3;
    std::shared_ptr<const net::TrustStore> client_trust;  // null: no client certificates are asked for
    bool share_port = false;
  };

  WebhookListener(UvLoop& loop, net::TlsContext& tls, webhook::Targets& own, Metrics& metrics, Options options);
  ~WebhookListener();

  // kUnavailable: the address is taken.
  Status listen(const ListenAddress& address);
  // For connections from now on; those there are go on with what they have.
  void adopt(const webhook::Material& material);
  void set_peers(std::vector<WebhookPeer> peers, size_t self);
  void set_routes(std::shared_ptr<const WebhookRoutes> routes) { routes_ = std::move(routes); }

  // Serves until no review came for `quiet`, or half the time is over; then ends connections as they fall idle.
  Task<void> drain(Duration quiet, MonoTime deadline);
  size_t connections() const { return http_.connections(); }

 private:
  class Elsewhere;
  void accepted(std::unique_ptr<net::ByteStream> stream) override;
  std::shared_ptr<webhook::Destination> find(std::string_view prefix, webhook::ReviewKind kind, std::string_view name) override;

  UvLoop& loop_;
  net::TlsContext& context_;
  webhook::Targets& own_;
  Options options_;
  bool ready_ = false;  // there is a certificate
  std::vector<WebhookPeer> peers_;
  size_t self_ = 0;
  std::shared_ptr<const WebhookRoutes> routes_;
  webhook::WebhookServer server_;
  net::HttpServer http_;
  net::TlsAcceptor tls_;
  std::unique_ptr<net::TcpListener> listener_;
};

}  // namespace gs::daemon
