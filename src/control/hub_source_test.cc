// A hub as the source, and status written to it: against the API server in memory, over the simulated network.
#include "control/hub_source.h"

#include <fmt/format.h>

#include "apiserver/api_server.h"
#include "base/strings.h"
#include "control/status_writer.h"
#include "kube/http_transport.h"
#include "net/http_server.h"
#include "net/sim_net.h"

namespace gs::control {
namespace {

using namespace std::chrono_literals;

const std::string kControllersPath = "/apis/gulfstream.dev/v1alpha1/controllers";
std::string clusters_path(const std::string& ns) { return "/apis/gulfstream.dev/v1alpha1/namespaces/" + ns + "/clusters"; }

std::string kubeconfig(const std::string& token) {
  return "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters: [{name: k, cluster: {server: 'https://h'}}]\nusers: [{name: u, user: {token: " + token + "}}]\n";
}

class HubTest : public testing::Test, private apiserver::RestHandler::Observer {
 protected:
  HubTest() {
    listener = *net::SimListener::listen(loop, net, "hub", 443, http);
    kube::ConnectionConfig config;
    config.server = *kube::parse_server_url("http://hub:443");
    transport = std::make_unique<kube::HttpTransport>(loop, connector, config, kube::HttpTransportOptions());
    server.handler().set_faults(faults);
    server.handler().set_observer(this);
    for (const char* ns : {"blue", "green", "gulfstream"}) server.add_namespace(ns);
  }
  void install() {
    apiserver::ResourceType controllers = apiserver::custom_resource("gulfstream.dev", "v1alpha1", "controllers", "Controller");
    controllers.namespaced = false;
    server.table().add(controllers);
    server.table().add(apiserver::custom_resource("gulfstream.dev", "v1alpha1", "clusters", "Cluster"));
  }
  void start(HubOptions options = {}) {
    loop.post([this, options] {
      source = std::make_unique<HubSource>(loop, *transport, options, [this](Desired desired) {
        wanted = std::move(desired);
        ++emitted;
      });
    });
  }
  void ask(const std::string& method, const std::string& target, const std::string& body = {}, const std::string& type = "application/json") {
    const auto answer = server.request(method, target, body, type);
    ASSERT_LT(answer.status, 300) << method << " " << target << ": " << answer.body;
  }
  void patch(const std::string& target, const std::string& body) { ask("PATCH", target, body, "application/merge-patch+json"); }
  void add_controller(const std::string& name, const std::string& more = "") {
    ask("POST", kControllersPath, fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"primary":{{"version":"v1","resource":"pods"}},"delegate":"http://127.0.0.1:1"{}}}}})", name, more));
  }
  void add_cluster(const std::string& ns, const std::string& name) {
    ask("POST", clusters_path(ns), fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"connection":{{"kubeconfig":{{"secretRef":{{"name":"{}"}}}}}}}}}})", name, name));
  }
  static std::string data(const std::string& token) { return fmt::format(R"({{"data":{{"kubeconfig":"{}"}}}})", base64_encode(kubeconfig(token))); }
  void add_secret(const std::string& ns, const std::string& name, const std::string& token) {
    ask("POST", "/api/v1/namespaces/" + ns + "/secrets", fmt::format(R"({{"metadata":{{"name":"{}"}},)", name) + data(token).substr(1));
  }
  bool run_until(const std::function<bool()>& done, Duration limit = 60s) { return world.run_until(done, world.now() + limit); }
  // Of a cluster's kubeconfig; empty where there is none.
  std::string token(const std::string& key) const {
    const fleet::ClusterSpec* spec = cluster(key);
    return spec != nullptr && spec->connection != nullptr ? spec->connection->token : "";
  }
  const fleet::ClusterSpec* cluster(const std::string& key) const {
    for (const auto& spec : wanted.clusters) {
      if (spec.key() == key) return &spec;
    }
    return nullptr;
  }
  json::Value get(const std::string& target) { return json::parse(server.request("GET", target).body).value(); }

  void served(const gateway::RestRequest& request, const apiserver::Answer&) override {
    if (request.verb == gateway::Verb::kPatch && request.subresource == "status") ++status_writes;
    const bool reads = request.verb == gateway::Verb::kList || request.verb == gateway::Verb::kWatch;
    if (request.resource != "secrets" || !reads) return;
    EXPECT_TRUE(request.option("fieldSelector").starts_with("metadata.name=")) << "a Secret that nobody named was read";
  }

  SimWorld world{11};
  SimLoop& loop = world.add_loop();
  net::SimNet net{world};
  apiserver::RandomFaults faults{5};
  apiserver::ApiServer server{loop};
  net::HttpServer http{loop, server.handler()};
  std::unique_ptr<net::Listener> listener;
  net::SimConnector connector{loop, net, "plane"};
  std::unique_ptr<kube::HttpTransport> transport;
  std::unique_ptr<HubSource> source;
  Desired wanted;
  int emitted = 0;
  int status_writes = 0;
};

TEST_F(HubTest, NothingIsWantedBeforeTheCrdsAreThereAndThenItHeals) {
  start();
  ASSERT_TRUE(run_until([&] { return source && source->problem().find("controllers.gulfstream.dev is not installed in the hub") != std::string::npos; }));
  EXPECT_EQ(emitted, 0);
  install();
  add_controller("c");
  ASSERT_TRUE(run_until([&] { return wanted.controllers.size() == 1; }, 20s));
  EXPECT_TRUE(source->synced());
  EXPECT_EQ(source->problem(), "");
  EXPECT_FALSE(wanted.select_all_by_default);
}

TEST_F(HubTest, AHubFromBeforeWebhooksWorksAndTheyComeWithTheirCrd) {
  install();
  add_controller("c");
  start();
  ASSERT_TRUE(run_until([&] { return wanted.controllers.size() == 1; }, 20s));
  EXPECT_EQ(source->problem(), "");
  apiserver::ResourceType webhooks = apiserver::custom_resource("gulfstream.dev", "v1alpha1", "webhooks", "Webhook");
  webhooks.namespaced = false;
  server.table().add(webhooks);
  const std::string path = "/apis/gulfstream.dev/v1alpha1/webhooks";
  ask("POST", path, R"({"metadata":{"name":"w"},"spec":{"ref":{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","name":"x.example.com"},"delegate":"https://d"}})");
  ask("POST", path, R"({"metadata":{"name":"broken"},"spec":{}})");
  ASSERT_TRUE(run_until([&] { return wanted.webhooks.size() == 2; }, 30s));
  const Desired::Webhook& broken = wanted.webhooks[wanted.webhooks[0].name == "broken" ? 0 : 1];
  EXPECT_EQ(broken.error, "spec.ref: is required");
  // What is not in spec matters too: the finalizer, and how it is to go.
  const int before = emitted;
  patch(path + "/w", R"({"metadata":{"finalizers":["gulfstream.dev/webhook"],"annotations":{"gulfstream.dev/on-delete":"Restore"}}})");
  ASSERT_TRUE(run_until([&] { return emitted > before; }, 5s));
  const Desired::Webhook& good = wanted.webhooks[wanted.webhooks[0].name == "w" ? 0 : 1];
  EXPECT_TRUE(good.spec->finalizer);
  EXPECT_EQ(good.spec->on_delete, webhook::OnDelete::kRestore);
}

TEST_F(HubTest, AClusterComesWithItsSecretAndARotatedSecretChangesItAlone) {
  install();
  add_cluster("blue", "a");
  add_cluster("green", "a");
  add_secret("green", "a", "g1");
  add_secret("green", "unrelated", "x");
  start();
  ASSERT_TRUE(run_until([&] { return source && source->synced(); }));
  ASSERT_NE(cluster("blue/a"), nullptr);
  EXPECT_EQ(cluster("blue/a")->error_reason, "SecretMissing");
  EXPECT_EQ(token("green/a"), "g1");
  add_secret("blue", "a", "b1");
  ASSERT_TRUE(run_until([&] { return token("blue/a") == "b1"; }, 5s));
  const std::string green = cluster("green/a")->digest, blue = cluster("blue/a")->digest;
  patch("/api/v1/namespaces/blue/secrets/a", data("b2"));
  ASSERT_TRUE(run_until([&] { return token("blue/a") == "b2"; }, 5s));
  EXPECT_NE(cluster("blue/a")->digest, blue);
  EXPECT_EQ(cluster("green/a")->digest, green);
  ask("DELETE", "/api/v1/namespaces/blue/secrets/a");
  ASSERT_TRUE(run_until([&] { return cluster("blue/a")->error_reason == "SecretMissing"; }, 5s));
  ask("DELETE", clusters_path("blue") + "/a");
  ASSERT_TRUE(run_until([&] { return cluster("blue/a") == nullptr; }, 5s));
  EXPECT_NE(cluster("green/a"), nullptr);
}

TEST_F(HubTest, AClusterThatIsMadeAnewIsAnother) {
  install();
  add_cluster("blue", "a");
  add_secret("blue", "a", "t");
  start();
  ASSERT_TRUE(run_until([&] { return cluster("blue/a") != nullptr; }));
  const std::string before = cluster("blue/a")->digest;
  ask("DELETE", clusters_path("blue") + "/a");
  add_cluster("blue", "a");
  ASSERT_TRUE(run_until([&] { return cluster("blue/a") != nullptr && cluster("blue/a")->digest != before; }, 5s));
}

TEST_F(HubTest, NamespacesAndConfigMapsAreReadWhileAControllerNeedsThem) {
  install();
  patch("/api/v1/namespaces/blue", R"({"metadata":{"labels":{"tier":"gold"}}})");
  ask("POST", "/api/v1/namespaces/gulfstream/configmaps", R"({"metadata":{"name":"m"},"data":{"v":"1"}})");
  ask("POST", "/api/v1/namespaces/blue/configmaps", R"({"metadata":{"name":"n"},"data":{"v":"1"}})");
  add_controller("plain");
  start();
  ASSERT_TRUE(run_until([&] { return emitted > 0; }));
  EXPECT_TRUE(wanted.namespace_labels.empty() && wanted.hub_configs.empty());
  add_controller("needs", R"(,"clusterSelector":{"namespaceSelector":{}},"configs":[{"name":"m","source":"Hub"}])");
  ASSERT_TRUE(run_until([&] { return wanted.controllers.size() == 2; }));
  EXPECT_EQ(wanted.namespace_labels.at("blue"), R"({"kubernetes.io/metadata.name":"blue","tier":"gold"})");
  ASSERT_EQ(wanted.hub_configs.size(), 1u) << "of the plane's own namespace only";
  EXPECT_NE(wanted.hub_configs.at("m").find(R"("v":"1")"), std::string::npos);
  patch("/api/v1/namespaces/gulfstream/configmaps/m", R"({"data":{"v":"2"}})");
  ASSERT_TRUE(run_until([&] { return wanted.hub_configs.at("m").find(R"("v":"2")") != std::string::npos; }, 5s));
  ask("DELETE", kControllersPath + "/needs");
  ASSERT_TRUE(run_until([&] { return wanted.controllers.size() == 1; }, 5s));
  EXPECT_TRUE(wanted.namespace_labels.empty() && wanted.hub_configs.empty());
}

TEST_F(HubTest, OurOwnStatusIsNoChangeOfWhatIsWanted) {
  install();
  add_controller("c");
  start();
  ASSERT_TRUE(run_until([&] { return emitted > 0; }));
  const int before = emitted;
  patch(kControllersPath + "/c/status", R"({"status":{"clusters":{"desired":1}}})");
  world.run_for(10s);
  EXPECT_EQ(emitted, before);
  patch(kControllersPath + "/c", R"({"spec":{"delegate":"http://127.0.0.1:2"}})");
  ASSERT_TRUE(run_until([&] { return emitted > before; }, 5s));
}

TEST_F(HubTest, OneClusterThatIsHubAndTenantNeedsNoClusterResource) {
  apiserver::ResourceType controllers = apiserver::custom_resource("gulfstream.dev", "v1alpha1", "controllers", "Controller");
  controllers.namespaced = false;
  server.table().add(controllers);
  add_controller("c");
  HubOptions options;
  options.self = fleet::ClusterSpec();
  options.self->name = "local";
  start(options);
  ASSERT_TRUE(run_until([&] { return source && source->synced(); }));
  EXPECT_TRUE(wanted.select_all_by_default);
  ASSERT_EQ(wanted.clusters.size(), 1u);
  EXPECT_EQ(wanted.clusters[0].key(), "local");
}

// What a hub holds is what is wanted, whatever its API server and the network do meanwhile.
TEST_F(HubTest, WhatIsWantedConvergesThroughFaults) {
  install();
  faults.rates.too_many_requests = faults.rates.unavailable = faults.rates.expired = 0.05;
  faults.rates.watch_cut = faults.rates.watch_expired = faults.rates.watch_silent = 0.2;
  start();
  Random& random = world.random();
  std::map<std::string, std::string> truth;  // key to token
  for (int i = 0; i < 300; ++i) {
    const std::string ns = random.chance(0.5) ? "blue" : "green", name = fmt::format("c{}", random.below(6)), key = ns + "/" + name;
    if (!truth.contains(key)) {
      add_cluster(ns, name);
      add_secret(ns, name, truth[key] = fmt::format("t{}", i));
    } else if (random.chance(0.3)) {
      ask("DELETE", clusters_path(ns) + "/" + name);
      ask("DELETE", "/api/v1/namespaces/" + ns + "/secrets/" + name);
      truth.erase(key);
    } else {
      patch("/api/v1/namespaces/" + ns + "/secrets/" + name, data(truth[key] = fmt::format("t{}", i)));
    }
    world.run_for(random.between(0s, 20s));
  }
  faults.rates = apiserver::FaultRates();
  const auto now = [&] {
    std::map<std::string, std::string> out;
    for (const auto& spec : wanted.clusters) out[spec.key()] = spec.error.empty() ? spec.connection->token : spec.error;
    return out;
  };
  EXPECT_TRUE(run_until([&] { return now() == truth; }, 15min)) << ::testing::PrintToString(now()) << ::testing::PrintToString(truth);
}

class StatusTest : public HubTest {
 protected:
  void start_writer(int controllers) {
    install();
    for (int i = 0; i < controllers; ++i) {
      add_controller(fmt::format("c{}", i));
      report.controllers[fmt::format("c{}", i)].generation = 1;
    }
    start();
    ASSERT_TRUE(run_until([&] { return source && source->synced(); }));
    loop.post([this] { writer = std::make_unique<StatusWriter>(loop, *source, *transport); });
    world.run_for(1ms);
  }
  void tell() {
    loop.post([this] { writer->update(report); });
    world.run_for(1ms);
  }
  // As a plane does at its end; whether all was written.
  bool last_word() {
    bool written = false;
    TaskScope scope(loop);
    const auto flush = [](StatusWriter& w, bool& out, MonoTime deadline) -> Task<void> { out = co_await w.flush(deadline); };
    loop.post([&] {
      writer->update(report);
      scope.spawn(flush(*writer, written, loop.now() + 5s));
    });
    world.run_for(10ms);
    EXPECT_TRUE(run_until([&] { return scope.empty(); }, 6s));
    return written;
  }
  int64_t desired(const std::string& name) {
    const auto object = get(kControllersPath + "/" + name);
    const json::Value* value = object.at("status.clusters.desired");
    return value != nullptr ? value->integer().value_or(-1) : -1;
  }
  Report report;
  std::unique_ptr<StatusWriter> writer;
};

TEST_F(StatusTest, ManyChangesAreOneWriteASecondAndNoChangeIsNone) {
  start_writer(1);
  for (int i = 0; i < 1000; ++i) {
    report.controllers["c0"].desired = i;
    tell();
    world.run_for(10ms);
  }
  ASSERT_TRUE(run_until([&] { return desired("c0") == 999; }, 5s));
  EXPECT_GE(status_writes, 7);
  EXPECT_LE(status_writes, 12);
  const int before = status_writes;
  for (int i = 0; i < 60; ++i) {
    tell();
    world.run_for(1s);
  }
  EXPECT_EQ(status_writes, before);
}

TEST_F(StatusTest, AllObjectsTogetherStayWithinTheBudget) {
  start_writer(500);
  for (int i = 1; i <= 60; ++i) {
    for (auto& [name, c] : report.controllers) c.desired = i;
    tell();
    world.run_for(1s);
  }
  EXPECT_LE(status_writes, StatusWriter::kBurst + 60 * StatusWriter::kWritesPerSecond + 1);
  EXPECT_GE(status_writes, 0.9 * 60 * StatusWriter::kWritesPerSecond);
  ASSERT_TRUE(run_until([&] { return desired("c0") == 60 && desired("c499") == 60; }, 60s));
}

TEST_F(StatusTest, WhatSomebodyElseWritesIsPutRight) {
  start_writer(1);
  report.controllers["c0"].desired = 3;
  tell();
  ASSERT_TRUE(run_until([&] { return desired("c0") == 3; }, 5s));
  world.run_for(5s);
  patch(kControllersPath + "/c0/status", R"({"status":{"clusters":{"desired":7},"annotations":{"theirs":"stays"}}})");
  world.run_for(StatusWriter::kEchoPatience);
  tell();
  ASSERT_TRUE(run_until([&] { return desired("c0") == 3; }, 5s));
  EXPECT_EQ(get(kControllersPath + "/c0").text("status.annotations.theirs"), "stays");
}

TEST_F(StatusTest, AnObjectThatIsGoneOrMadeAnewGetsNothingOfItsPredecessor) {
  start_writer(2);
  report.controllers["c0"].uid = get(kControllersPath + "/c0").text("metadata.uid");
  report.controllers["c0"].desired = 5;
  // Not yet seen by the watch when the write goes out: the version in the patch is what refuses it.
  ask("DELETE", kControllersPath + "/c0");
  add_controller("c0");
  ask("DELETE", kControllersPath + "/c1");
  tell();
  world.run_for(30s);
  EXPECT_EQ(desired("c0"), -1);
  EXPECT_EQ(writer->failures(), 0u);
}

TEST_F(StatusTest, AnObjectThatIsEditedMeanwhileGetsItsStatusOnceTheWatchHasShownIt) {
  start_writer(1);
  for (int i = 1; i <= 10; ++i) {
    patch(kControllersPath + "/c0", fmt::format(R"({{"metadata":{{"annotations":{{"edit":"{}"}}}}}})", i));
    report.controllers["c0"].desired = i;
    tell();  // not yet seen by the watch
    ASSERT_TRUE(run_until([&] { return desired("c0") == i; }, 5s)) << i;
  }
  EXPECT_EQ(writer->failures(), 0u);
}

TEST_F(StatusTest, TheLastStatusIsWrittenBeforeTheEndAlsoThroughFaults) {
  start_writer(20);
  faults.rates.unavailable = faults.rates.too_many_requests = 0.3;
  for (auto& [name, c] : report.controllers) c.desired = 1;
  tell();
  ASSERT_TRUE(run_until([&] {
    for (int i = 0; i < 20; ++i) {
      if (desired(fmt::format("c{}", i)) != 1) return false;
    }
    return true;
  }, 5min));
  faults.rates = apiserver::FaultRates();
  world.run_for(20s);
  for (auto& [name, c] : report.controllers) c.desired = 2;
  EXPECT_TRUE(last_word());
  EXPECT_EQ(desired("c19"), 2);
}

TEST_F(StatusTest, TheLastStatusIsWrittenRightAfterAnotherThatTheWatchHasNotShown) {
  start_writer(1);
  report.controllers["c0"].desired = 1;
  tell();
  ASSERT_TRUE(run_until([&] { return desired("c0") == 1; }, 5s));
  patch(kControllersPath + "/c0", R"({"metadata":{"annotations":{"edit":"late"}}})");
  report.controllers["c0"].desired = 2;
  EXPECT_TRUE(last_word());
  EXPECT_EQ(desired("c0"), 2);
}

}  // namespace
}  // namespace gs::control
