#include "kube/cluster_connector.h"

#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "base/strings.h"

namespace gs::kube {
namespace {

struct Reading {
  explicit Reading(Loop& loop) : done(loop) {}
  Event done;
  Result<std::string> content = fail(Code::kInternal, "not read");
};

std::string environment(const char* upper, const char* lower) {
  const char* value = std::getenv(upper);
  if (value == nullptr || *value == '\0') value = std::getenv(lower);
  return value == nullptr ? "" : value;
}

}  // namespace

Result<std::unique_ptr<ClusterConnector>> ClusterConnector::make(const ConnectorDeps& deps, const ConnectionConfig& config) {
  std::unique_ptr<ClusterConnector> out(new ClusterConnector(deps));
  GS_TRY_STATUS(out->build(config));
  return out;
}

Status ClusterConnector::build(const ConnectionConfig& config) {
  top_ = &deps_.tcp;
  if (!config.proxy_url.empty()) {
    auto url = net::ProxyUrl::parse(config.proxy_url);
    if (!url) return fail(std::move(url).error().with_context("proxy-url"));
    net::Connector* to_proxy = &deps_.tcp;
    if (url->tls) {
      to_proxy_ = std::make_unique<net::TlsConnector>(deps_.loop, deps_.tls, deps_.tcp, net::TlsOptions());
      to_proxy = to_proxy_.get();
    }
    proxy_ = std::make_unique<net::ProxyConnector>(deps_.loop, *to_proxy, *std::move(url), deps_.filter);
    top_ = proxy_.get();
  }
  if (!config.server.tls) return ok();
  if (!config.ca_pem.empty()) {
    auto trust = deps_.tls.trust(config.ca_pem);
    if (!trust) return fail(std::move(trust).error().with_context(config.ca_file.empty() ? "certificate-authority-data" : config.ca_file));
    options_.trust = *std::move(trust);
  }
  ca_file_ = config.ca_file;
  if (!ca_file_.empty()) ca_pem_ = config.ca_pem;  // to see that the file has changed
  options_.server_name = config.server_name;
  options_.insecure_skip_verify = config.insecure_skip_tls_verify;
  options_.alpn = {"h2", "http/1.1"};
  tls_ = std::make_unique<net::TlsConnector>(deps_.loop, deps_.tls, *top_, options_);
  tls_->limit(deps_.handshakes);
  top_ = tls_.get();
  if (config.client_certificate_pem.empty()) return ok();
  return set_identity(config.client_certificate_pem, config.client_key_pem);
}

Status ClusterConnector::set_identity(const std::string& certificate_pem, const std::string& key_pem) {
  if (tls_ == nullptr) return ok();
  std::shared_ptr<const net::Identity> identity;
  if (!certificate_pem.empty()) {
    auto made = deps_.tls.identity(certificate_pem, key_pem);
    if (!made) return fail(std::move(made).error().with_context("client certificate"));
    identity = *std::move(made);
  }
  if (identity == options_.identity) return ok();
  options_.identity = std::move(identity);
  tls_->set_options(options_);
  ++generation_;
  return ok();
}

std::optional<WallTime> ClusterConnector::identity_ends() const {
  if (options_.identity == nullptr) return std::nullopt;
  return options_.identity->not_after();
}

// A file that cannot be read, or holds no certificate, leaves the authorities as they were.
Task<void> ClusterConnector::refresh() {
  if (ca_file_.empty() || tls_ == nullptr) co_return;
  const auto reading = std::make_shared<Reading>(deps_.loop);
  std::function<void()> work = [reading, path = ca_file_] { reading->content = read_file(path); };
  std::function<void()> done = [reading] { reading->done.set(); };
  deps_.loop.run_blocking(std::move(work), std::move(done));
  co_await reading->done.wait();
  if (reading->content && *reading->content == ca_pem_) co_return;
  Status status = ok();
  if (!reading->content) {
    status = fail(reading->content.error());
  } else if (auto trust = deps_.tls.trust(*reading->content); trust) {
    ca_pem_ = *reading->content;
    options_.trust = *std::move(trust);
    tls_->set_options(options_);
    ++generation_;
  } else {
    status = fail(std::move(trust).error().with_context(ca_file_));
  }
  if (!status) log::warning("authorities cannot be read; the last ones stay in use", {{"err", status.error().message}});
}

Task<Result<std::unique_ptr<net::ByteStream>>> ClusterConnector::connect(net::Endpoint endpoint, MonoTime deadline) {
  return top_->connect(std::move(endpoint), deadline);
}

std::string proxy_from_environment(const ServerUrl& server) {
  std::string proxy = server.tls ? environment("HTTPS_PROXY", "https_proxy") : environment("HTTP_PROXY", "http_proxy");
  if (proxy.empty()) return proxy;
  const net::NoProxy direct(environment("NO_PROXY", "no_proxy"));
  const net::Endpoint endpoint(server.host, server.port);
  return direct.matches(endpoint) ? "" : proxy;
}

Result<std::unique_ptr<HttpTransport>> make_transport(const ConnectorDeps& deps, const ConnectionConfig& config,
                                                      ProcessRunner* processes, HttpTransportOptions options) {
  GS_TRY(auto connector, ClusterConnector::make(deps, config));
  GS_TRY(auto credentials, make_credentials(deps.loop, config, processes));
  options.without_alpn = HttpProtocol::kHttp1;
  return std::make_unique<HttpTransport>(deps.loop, std::move(connector), std::move(credentials), config, std::move(options));
}

}  // namespace gs::kube
