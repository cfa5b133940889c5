#include "embedded/served_cluster.h"

#include "base/metrics.h"
#include "runtime/sync.h"

namespace gs::embedded {
namespace {

// Of one client: an informer holds a stream for each resource that it watches.
constexpr uint32_t kStreams = 1000;
constexpr Duration kDrainPoll = std::chrono::milliseconds(20);

net::HttpServerOptions http_options() {
  net::HttpServerOptions out;
  out.max_streams = kStreams;
  return out;
}

}  // namespace

Result<std::unique_ptr<ServedCluster>> ServedCluster::open(UvLoop& loop, const ClusterDeps& deps, apiserver::ApiServerOptions options, const std::string& file) {
  if (!file.empty()) {
    options.persistence.emplace();
    options.persistence->file.path = file;
  }
  GS_TRY(std::unique_ptr<apiserver::ApiServer> api, apiserver::ApiServer::open(loop, std::move(options)));
  return std::unique_ptr<ServedCluster>(new ServedCluster(loop, deps, std::move(api)));
}

ServedCluster::ServedCluster(UvLoop& loop, const ClusterDeps& deps, std::unique_ptr<apiserver::ApiServer> api)
    : loop_(loop),
      api_(std::move(api)),
      webhooks_(loop, deps.tls, *api_),
      http_(std::make_unique<net::HttpServer>(loop, *this, http_options())),
      tls_(loop, deps.tls, {}, *http_) {
  api_->handler().set_authenticator(deps.authenticator);
  api_->handler().set_webhook_clients(webhooks_);
}

ServedCluster::~ServedCluster() = default;

Status ServedCluster::listen(const std::string& host, uint16_t port) {
  GS_TRY(listener_, net::TcpListener::listen(loop_, host, port, tls_));
  return ok();
}

Task<void> ServedCluster::handle(net::HttpExchange& exchange) {
  const net::HttpRequest& request = exchange.request();
  if (std::string_view(request.target).substr(0, request.target.find('?')) != "/metrics") {
    Task<void> serving = api_->handler().handle(exchange);
    co_await std::move(serving);
    co_return;
  }
  const auto user = api_->handler().admit(exchange);
  net::HttpHead head(user ? 200 : user.error().status);
  head.headers.emplace_back("content-type", user ? "text/plain; version=0.0.4; charset=utf-8" : "application/json");
  exchange.respond(head, user ? metrics() : user.error().body);
}

std::string ServedCluster::metrics() {
  const apiserver::RestStats& stats = api_->handler().stats();
  MetricSums sums;
  sums.count("gulfstream_apiserver_requests_total", "Requests.", stats.requests);
  sums.count("gulfstream_apiserver_unauthorized_total", "Of these, those that showed nothing or something unknown.", stats.unauthorized);
  sums.count("gulfstream_apiserver_lists_total", "Lists served.", stats.lists);
  sums.count("gulfstream_apiserver_watches_total", "Watches begun.", stats.watches);
  sums.count("gulfstream_apiserver_writes_total", "Writes served, whatever came of them.", stats.writes);
  sums.gauge("gulfstream_apiserver_open_watches", "Watches open now.", double(api_->handler().open_watches()));
  sums.gauge("gulfstream_apiserver_connections", "Connections open now.", double(http_->connections()));
  sums.gauge("gulfstream_apiserver_objects", "Objects stored.", double(api_->store().size()));
  sums.gauge("gulfstream_apiserver_resource_version", "The version of the last change.", double(api_->store().version()));
  Metrics shown;
  sums.show(shown);
  return shown.expose();
}

Task<void> ServedCluster::drain(MonoTime deadline) {
  listener_.reset();
  // Watches last until their client ends them: they are not waited for.
  while (http_->exchanges() > api_->handler().open_watches() && loop_.now() < deadline) {
    co_await sleep_for(loop_, kDrainPoll);
  }
  http_.reset();
}

}  // namespace gs::embedded
