#include "bench/callers.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "net/http1_connection.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs::bench {

std::string pod_review(size_t i) {
  std::string env;
  for (int e = 0; e < 45; ++e) env += fmt::format(R"({}{{"name":"VARIABLE_{}","value":"a value of some length for pod {}"}})", e > 0 ? "," : "", e, i % 97);
  const std::string pod = fmt::format(
      R"({{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"pod-{}","namespace":"default","uid":"{:08x}-0000-4000-8000-000000000000","creationTimestamp":"2026-01-01T00:00:00Z","labels":{{"app":"web"}}}},)"
      R"("spec":{{"containers":[{{"name":"main","image":"registry.example/web:v1","env":[{}],"resources":{{"requests":{{"cpu":"100m","memory":"128Mi"}}}}}}],"restartPolicy":"Always"}},"status":{{}}}})", i, i, env);
  return fmt::format(
      R"({{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"{:08x}-1111-4000-8000-000000000000","kind":{{"group":"","version":"v1","kind":"Pod"}},)"
      R"("resource":{{"group":"","version":"v1","resource":"pods"}},"requestKind":{{"group":"","version":"v1","kind":"Pod"}},"requestResource":{{"group":"","version":"v1","resource":"pods"}},)"
      R"("name":"pod-{}","namespace":"default","operation":"CREATE","userInfo":{{"username":"admin","uid":"admin-uid","groups":["system:masters","system:authenticated"]}},)"
      R"("object":{},"oldObject":null,"dryRun":false,"options":{{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1","fieldManager":"kubectl-create"}}}}}})", i, i, pod);
}

Callers::Callers(UvLoop& loop, net::TlsContext& tls, const WebhookAddress& address, size_t count) : loop_(loop), address_(address) {
  net::CaresResolver resolver(loop);
  net::TcpConnector tcp(loop, resolver, nullptr);
  net::TlsOptions options;
  options.trust = *tls.trust(address.ca_pem);
  options.server_name = address.server_name;
  options.alpn = {"http/1.1"};
  net::TlsConnector connector(loop, tls, tcp, options);
  TaskScope scope(loop);
  // A few at a time: a handshake costs more than a review.
  while (connections_.size() < count) {
    for (size_t more = std::min<size_t>(20, count - connections_.size()); more > 0; --more) scope.spawn(dial(connector));
    loop_.run_until([&] { return scope.empty(); });
  }
  for (size_t i = 0; i < count; ++i) {
    net::HttpRequest request("POST", address_.path + "?timeout=10s");
    request.authority = fmt::format("{}:{}", address_.server_name, address_.port);
    request.headers.emplace_back("accept", "application/json, */*");
    request.headers.emplace_back("content-type", "application/json");
    request.headers.emplace_back("user-agent", "kube-apiserver-admission");
    request.headers.emplace_back("accept-encoding", "gzip");
    request.body = pod_review(i);
    requests_.push_back(std::move(request));
  }
}

Callers::~Callers() = default;

Task<void> Callers::dial(net::Connector& connector) {
  auto dialling = connector.connect(net::Endpoint(address_.host, address_.port), loop_.now() + std::chrono::seconds(20));
  auto stream = co_await dialling;
  GS_CHECK(stream.has_value());
  connections_.push_back(net::make_http1_connection(loop_, *std::move(stream)));
}

Task<bool> Callers::review(net::HttpConnection& connection, const net::HttpRequest& request) {
  const MonoTime deadline = loop_.now() + std::chrono::seconds(10);
  auto stream = connection.open(request, false);
  if (!stream) co_return false;
  auto heading = (*stream)->head(deadline);
  auto head = co_await heading;
  if (!head || head->status != 200) co_return false;
  std::string body;
  while (true) {
    auto reading = (*stream)->read(deadline);
    auto bytes = co_await reading;
    if (!bytes) co_return false;
    if (bytes->empty()) break;
    body += *bytes;
  }
  co_return body.find("\"allowed\":true") != std::string::npos;
}

Task<void> Callers::call(size_t i, MonoTime end, double per_second, Seen& seen) {
  const Duration period = per_second > 0 ? from_seconds(1 / per_second) : Duration(0);
  MonoTime next = loop_.now() + period * static_cast<int64_t>(i) / static_cast<int64_t>(connections_.size());
  while (next < end && loop_.now() < end) {
    if (next > loop_.now()) {
      co_await sleep_until(loop_, next);
    }
    // From when it was due, where a slow answer delayed it; a timer is up to 1 ms late by itself.
    const bool delayed = per_second > 0 && loop_.now() - next > std::chrono::milliseconds(2);
    const MonoTime begun = delayed ? next : loop_.now();
    auto reviewing = review(*connections_[i], requests_[i]);
    const bool allowed = co_await reviewing;
    seen.latencies.push_back(to_seconds(loop_.now() - begun) * 1000);
    ++(allowed ? seen.allowed : seen.other);
    if (!allowed) co_return;
    next = per_second > 0 ? next + period : loop_.now();
  }
}

Callers::Seen Callers::run(Duration time, double each_per_second) {
  Seen seen;
  TaskScope scope(loop_);
  const MonoTime end = loop_.now() + time;
  for (size_t i = 0; i < connections_.size(); ++i) scope.spawn(call(i, end, each_per_second, seen));
  loop_.run_until([&] { return scope.empty(); });
  return seen;
}

}  // namespace gs::bench
