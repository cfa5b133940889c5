#include "daemon/webhook_listener.h"

#include "base/log.h"
#include "kube/server_url.h"
#include "net/cidr.h"
#include "runtime/cross_loop.h"

namespace gs::daemon {
namespace {

net::HttpServerOptions http_options() {
  net::HttpServerOptions out;
  // A little more than WebhookServer takes, so that it is the one to explain.
  out.max_body_bytes = webhook::WebhookServerOptions().max_body_bytes + 64 * 1024;
  return out;
}

// On the cluster's own loop.
Task<webhook::HttpAnswer> serve_here(webhook::Targets& targets, std::string prefix, webhook::ReviewKind kind, std::string name, std::string body,
                                     std::string timeout, MonoTime received) {
  const std::shared_ptr<webhook::Destination> target = targets.find(prefix, kind, name);
  if (!target) {
    webhook::HttpAnswer gone(404, "404 page not found\n");
    gone.json = false;
    co_return gone;
  }
  auto serving = target->serve(kind, std::move(body), std::move(timeout), received);
  co_return co_await serving;
}

}  // namespace

Result<ListenAddress> ListenAddress::parse(const std::string& flag, const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return fail(Code::kInvalid, "{} {}: must be HOST:PORT, or :PORT for all addresses", flag, text);
  auto url = kube::parse_server_url("https://" + (colon == 0 ? "0.0.0.0" + text : text));
  if (!url) return fail(std::move(url).error().with_context(flag + " " + text));
  if (!net::IpAddress::parse(url->host)) return fail(Code::kInvalid, "{} {}: the host must be a numeric address", flag, text);
  ListenAddress out;
  out.host = url->host;
  out.port = url->port;
  return out;
}

const WebhookRoutes::Route* WebhookRoutes::find(std::string_view prefix) const {
  const auto found = routes_.find(webhook::hmac_sha256(salt_, prefix));
  return found == routes_.end() ? nullptr : &found->second;
}

// A target of another loop. What is asked goes there as a copy; whoever asked may go away meanwhile.
class WebhookListener::Elsewhere final : public webhook::Destination {
 public:
  Elsewhere(Loop& loop, WebhookPeer peer, std::string cluster, std::string prefix, std::string name)
      : loop_(loop), peer_(peer), cluster_(std::move(cluster)), prefix_(std::move(prefix)), name_(std::move(name)) {}

  Task<webhook::HttpAnswer> serve(webhook::ReviewKind kind, std::string body, std::string timeout, MonoTime received) override {
    std::function<Task<webhook::HttpAnswer>()> make = [targets = peer_.targets, prefix = prefix_, name = name_, kind, body = std::move(body),
                                                       timeout = std::move(timeout), received]() mutable {
      // All loops of a process have one monotonic clock.
      return serve_here(*targets, std::move(prefix), kind, std::move(name), std::move(body), std::move(timeout), received);
    };
    return run_on<webhook::HttpAnswer>(loop_, *peer_.loop, *peer_.scope, std::move(make));
  }
  const std::string& cluster() const override { return cluster_; }

 private:
  Loop& loop_;
  WebhookPeer peer_;
  std::string cluster_, prefix_, name_;
};

WebhookListener::WebhookListener(UvLoop& loop, net::TlsContext& tls, webhook::Targets& own, Metrics& metrics, Options options)
    : loop_(loop), context_(tls), own_(own), options_(std::move(options)), server_(loop, *this, metrics), http_(loop, server_, http_options()), tls_(loop, tls, {}, http_) {}

WebhookListener::~WebhookListener() = default;

Status WebhookListener::listen(const ListenAddress& address) {
  auto listener = net::TcpListener::listen(loop_, address.host, address.port, *this, options_.share_port);
  if (!listener) return fail(std::move(listener).error().with_context("--listen"));
  listener_ = *std::move(listener);
  return ok();
}

void WebhookListener::adopt(const webhook::Material& material) {
  auto identity = context_.identity(material.serving.certificate, material.serving.key);
  if (!identity) {
    // Checked when it was read; what is served stays.
    log::error("the serving certificate cannot be used", {{"err", identity.error()}});
    return;
  }
  net::TlsServerOptions options;
  options.identity = *std::move(identity);
  options.alpn = {"h2", "http/1.1"};
  options.min_version = options_.min_version;
  if (options_.client_trust) {
    options.client_trust = options_.client_trust;
    options.client_certificate = net::ClientCertificate::kRequired;
  }
  tls_.set_options(std::move(options));
  ready_ = true;
}

void WebhookListener::set_peers(std::vector<WebhookPeer> peers, size_t self) {
  peers_ = std::move(peers);
  self_ = self;
}

// Before there is a certificate a connection can only be closed: the API server tries again.
void WebhookListener::accepted(std::unique_ptr<net::ByteStream> stream) {
  if (ready_) tls_.accepted(std::move(stream));
}

std::shared_ptr<webhook::Destination> WebhookListener::find(std::string_view prefix, webhook::ReviewKind kind, std::string_view name) {
  auto mine = own_.find(prefix, kind, name);
  if (mine || !routes_) return mine;
  const WebhookRoutes::Route* route = routes_->find(prefix);
  if (route == nullptr || route->worker == self_ || route->worker >= peers_.size()) return nullptr;
  return std::make_shared<Elsewhere>(loop_, peers_[route->worker], route->cluster, std::string(prefix), std::string(name));
}

Task<void> WebhookListener::drain(Duration quiet, MonoTime deadline) {
  const MonoTime half = loop_.now() + (deadline - loop_.now()) / 2;
  auto quieting = server_.drain(quiet, half);
  co_await quieting;
  auto draining = http_.drain(deadline);
  co_await draining;
  listener_.reset();
}

}  // namespace gs::daemon
