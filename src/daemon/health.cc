#include "daemon/health.h"

#include "kube/server_url.h"

namespace gs::daemon {
namespace {

constexpr size_t kMaxConnections = 64;
constexpr uint64_t kMaxBody = 64 * 1024;

net::HttpServerOptions server_options() {
  net::HttpServerOptions options;
  options.max_connections = kMaxConnections;
  options.max_body_bytes = kMaxBody;
  return options;
}

}  // namespace

HealthEndpoints::HealthEndpoints(UvLoop& loop, Answer answer)
    : loop_(loop), answer_(std::move(answer)), server_(loop, *this, server_options()) {}

Status HealthEndpoints::listen(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return fail(Code::kInvalid, "--metrics-address {}: must be HOST:PORT", address);
  auto url = kube::parse_server_url("http://" + (colon == 0 ? "0.0.0.0" + address : address));
  if (!url) return fail(std::move(url).error().with_context("--metrics-address " + address));
  auto listener = net::TcpListener::listen(loop_, url->host, url->port, server_);
  if (!listener) return fail(std::move(listener).error().with_context("--metrics-address " + address));
  listener_ = *std::move(listener);
  return ok();
}

Task<void> HealthEndpoints::handle(net::HttpExchange& exchange) {
  const std::string& method = exchange.request().method;
  const std::string& target = exchange.request().target;
  const bool read = method == "GET" || method == "HEAD";
  std::optional<HealthAnswer> answer;
  if (read) {
    Task<std::optional<HealthAnswer>> answering = answer_(target.substr(0, target.find('?')));
    answer = co_await std::move(answering);
  }
  if (!answer) answer = HealthAnswer(read ? 404 : 405, read ? "404 page not found\n" : "method not allowed\n");
  net::HttpHead head(answer->status);
  head.headers.emplace_back("content-type", answer->content_type);
  exchange.respond(head, answer->body);
}

}  // namespace gs::daemon
