// Reviews: what the plane adds to a delegate's own time, and what one costs; beside a webhook server of
// controller-runtime that allows everything, asked by the same callers in the same run.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/check.h"
#include "bench/callers.h"
#include "bench/figures.h"
#include "bench/fleet.h"
#include "bench/plane_process.h"
#include "json/value.h"

namespace gs::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kCallers[] = {50, 200, 500};
constexpr double kEachPerSecond = 10;
constexpr const char* kConfigurations = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/bench";

// A port that is free now.
uint16_t free_port(UvLoop& loop) {
  class Nobody final : public net::Listener::Acceptor {
    void accepted(std::unique_ptr<net::ByteStream>) override {}
  } nobody;
  auto listener = net::TcpListener::listen(loop, "127.0.0.1", 0, nobody);
  GS_CHECK(listener.has_value());
  return (*listener)->port();
}

// Allows at once.
class Allows final : public Decider {
 public:
  using Decider::Decider;
  Task<pb::Result> reconcile(test::DelegateSession&, pb::Reconcile) override {
    pb::Result result;
    result.mutable_ok();
    co_return result;
  }
  Task<pb::Admitted> admit(test::DelegateSession&, pb::Admit) override {
    pb::Admitted answer;
    answer.mutable_allowed();
    co_return answer;
  }
};

// Measures one server by all numbers of callers, and then without a pause.
void measure(Fleet& fleet, const WebhookAddress& address, const ServerProcess& server, const std::string& name, Figures& out) {
  net::TlsContext tls;
  const bool ours = name == "overhead";
  for (const size_t count : kCallers) {
    Callers callers(fleet.loop, tls, address, count);
    callers.run(seconds(2), kEachPerSecond);
    Callers::Seen seen = callers.run(seconds(8), kEachPerSecond);
    GS_CHECK(seen.other == 0);
    out.push_back({fmt::format("webhook_{}_p50_ms_{}", name, count), quantile(seen.latencies, 0.5), "ms", ""});
    out.push_back({fmt::format("webhook_{}_p99_ms_{}", name, count), quantile(seen.latencies, 0.99), "ms", ours && count == 50 ? "<= 1" : ours && count == 500 ? "<= 5" : ""});
  }
  Callers callers(fleet.loop, tls, address, 64);
  callers.run(seconds(2), 0);
  const double before = server.cpu_seconds();
  const Callers::Seen seen = callers.run(seconds(8), 0);
  GS_CHECK(seen.other == 0);
  const std::string figure = ours ? "webhook_reviews_per_cpu_second" : fmt::format("webhook_{}_reviews_per_cpu_second", name);
  out.push_back({figure, static_cast<double>(seen.allowed) / (server.cpu_seconds() - before), "1/s", ours ? "20000" : ""});
}

// The configuration as its author applies it; the plane fills in the rest.
void add_configuration(FakeCluster& cluster) {
  const auto type = cluster.server.table().add(apiserver::ResourceType("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", false));
  cluster.server.preload(*type, "", R"({"metadata":{"name":"bench"},"webhooks":[{"name":"bench.example.com","clientConfig":{"url":"https://nobody.example/"},)"
                                    R"("rules":[{"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"],"operations":["CREATE"]}],"sideEffects":"None","admissionReviewVersions":["v1"],"timeoutSeconds":10}]})");
}

std::string webhook(const std::string& delegate, const char* protocol) {
  return fmt::format("apiVersion: gulfstream.dev/v1alpha1\nkind: Webhook\nmetadata: {{name: bench}}\nspec:\n"
                     "  ref: {{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, name: bench}}\n"
                     "  protocol: {}\n  maxConcurrent: 1000\n  delegate: {}", protocol, delegate);
}

// Where the plane told the cluster's API server to go; nullopt while it has not.
std::optional<WebhookAddress> told(FakeCluster& cluster, uint16_t port) {
  const auto configuration = json::parse(cluster.server.request("GET", kConfigurations).body);
  const json::Value* const client = configuration->pointer("/webhooks/0/clientConfig");
  GS_CHECK(client != nullptr);
  const std::string url(client->text("url"));
  const std::string prefix = fmt::format("https://127.0.0.1:{}", port);
  const auto bundle = base64_decode(client->text("caBundle"));
  if (!url.starts_with(prefix) || !bundle || bundle->empty()) return std::nullopt;
  WebhookAddress out;
  out.port = port;
  out.server_name = "127.0.0.1";
  out.path = url.substr(prefix.size());
  out.ca_pem = *bundle;
  return out;
}

void through_the_plane(const std::string& binary, Fleet& fleet, const std::string& config, const std::string& name, const std::vector<std::string>& flags, Figures& out) {
  fleet.write_config({config});
  const uint16_t port = free_port(fleet.loop);
  std::vector<std::string> all = {"--listen", fmt::format("127.0.0.1:{}", port), "--webhook-url", fmt::format("https://127.0.0.1:{}", port),
                                  "--webhook-cert-dir", fleet.directory() + "-webhook"};
  all.insert(all.end(), flags.begin(), flags.end());
  PlaneProcess plane(binary, fleet.directory(), all);
  GS_CHECK(fleet.run_until([&] { return told(*fleet.clusters[0], port).has_value(); }, seconds(30)));
  fleet.run_for(seconds(1));
  measure(fleet, *told(*fleet.clusters[0], port), plane, name, out);
}

}  // namespace

Figures webhooks(const std::string& binary) {
  Figures out;
  Fleet fleet;
  Allows allows(fleet.loop);
  fleet.serve(allows, 256, {"webhooks"});
  fleet.add_clusters(1, add_configuration);
  std::fprintf(stderr, "bench: reviews by session\n");
  through_the_plane(binary, fleet, webhook("DELEGATE", "Session"), "overhead", {}, out);
  const char* const peer = std::getenv("GULFSTREAM_BENCH_PEER");
  if (peer == nullptr) {
    std::fprintf(stderr, "bench: no peer to compare with (GULFSTREAM_BENCH_PEER)\n");
    return out;
  }
  const std::string directory = fleet.directory() + "-peer";
  std::filesystem::create_directory(directory);
  const test::KeyPair ca = test::make_ca("peer"), key = test::make_server_cert(ca, {"127.0.0.1"});
  std::ofstream(directory + "/tls.crt") << key.cert_pem;
  std::ofstream(directory + "/tls.key") << key.key_pem;
  std::ofstream(directory + "/ca.crt") << ca.cert_pem;
  WebhookAddress address;
  address.port = free_port(fleet.loop);
  address.server_name = "127.0.0.1";
  address.path = "/validate";
  address.ca_pem = ca.cert_pem;
  const ServerProcess server({peer, "--cert-dir", directory, "--port", std::to_string(address.port)}, directory + ".log");
  fleet.run_for(seconds(2));
  std::fprintf(stderr, "bench: the same callers, straight to controller-runtime\n");
  measure(fleet, address, server, "peer", out);
  std::fprintf(stderr, "bench: through the plane to controller-runtime\n");
  through_the_plane(binary, fleet, webhook(fmt::format("https://127.0.0.1:{}/validate", address.port), "Review"), "review", {"--delegate-ca-file", directory + "/ca.crt"}, out);
  return out;
}

}  // namespace gs::bench
