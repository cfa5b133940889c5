// The rules of the API, asked without HTTP; then lists and watches over the simulated network, by our
// own transport and informer.
#include "apiserver/api_server.h"

#include <fmt/format.h>

#include "cache/informer.h"
#include "kube/http_transport.h"
#include "net/http_server.h"
#include "net/sim_net.h"

namespace gs::apiserver {
namespace {

using namespace std::chrono_literals;
const std::string kMaps = "/api/v1/namespaces/default/configmaps";

class RulesTest : public testing::Test {
 protected:
  Answer ask(const std::string& method, const std::string& target, const std::string& body = {}, const std::string& type = "application/json") {
    last = server.request(method, target, body, type);
    auto parsed = json::parse(last.body);
    EXPECT_TRUE(parsed || last.content_type != "application/json") << last.body;
    object = parsed ? *parsed : json::Value();
    return last;
  }
  std::string text(std::string_view path) { return std::string(object.text(path)); }
  SimWorld world{1};
  ApiServer server{world.add_loop()};
  Answer last;
  json::Value object;
};

TEST_F(RulesTest, CreateFillsInWhatTheSystemKnows) {
  EXPECT_EQ(ask("POST", kMaps, R"({"metadata":{"name":"a","uid":"mine"},"data":{"k":"v"}})").status, 201);
  EXPECT_EQ(text("kind"), "ConfigMap");
  EXPECT_EQ(text("metadata.namespace"), "default");
  EXPECT_EQ(text("metadata.uid").size(), 36u);
  EXPECT_FALSE(text("metadata.resourceVersion").empty());
  EXPECT_FALSE(text("metadata.creationTimestamp").empty());
  EXPECT_EQ(ask("POST", kMaps, R"({"metadata":{"name":"a"}})").status, 409);
  EXPECT_EQ(text("reason"), "AlreadyExists");
  EXPECT_EQ(text("message"), "configmaps \"a\" already exists");
  EXPECT_EQ(ask("POST", kMaps, R"({"metadata":{"generateName":"x-"}})").status, 201);
  EXPECT_EQ(text("metadata.name").size(), 7u);
}

TEST_F(RulesTest, WhatIsWrongIsSaidWithAReason) {
  EXPECT_EQ(ask("POST", kMaps, "{").status, 400);
  EXPECT_EQ(ask("POST", kMaps, R"({"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"}})").status, 400);
  EXPECT_EQ(ask("POST", kMaps, R"({"metadata":{"name":"A_"}})").status, 422);
  EXPECT_EQ(ask("POST", kMaps, R"({"metadata":{"name":"a","namespace":"other"}})").status, 400);
  EXPECT_EQ(ask("POST", "/api/v1/namespaces/absent/configmaps", R"({"metadata":{"name":"a"}})").status, 404);
  EXPECT_EQ(text("message"), "namespaces \"absent\" not found");
  EXPECT_EQ(ask("GET", kMaps + "/none").status, 404);
  EXPECT_EQ(ask("GET", "/apis/example.com/v1/namespaces/default/things").status, 404);
  EXPECT_EQ(ask("PATCH", kMaps + "/none", "{}", "application/merge-patch+json").status, 404);
}

TEST_F(RulesTest, AnUpdateNeedsTheVersionItSays) {
  ask("POST", kMaps, R"({"metadata":{"name":"a"},"data":{"k":"1"}})");
  const std::string version = text("metadata.resourceVersion"), uid = text("metadata.uid");
  const auto body = [&](const std::string& rv, const std::string& value) {
    return fmt::format(R"({{"metadata":{{"name":"a","resourceVersion":"{}"}},"data":{{"k":"{}"}}}})", rv, value);
  };
  EXPECT_EQ(ask("PUT", kMaps + "/a", body(version, "2")).status, 200);
  EXPECT_EQ(text("metadata.uid"), uid);
  EXPECT_EQ(ask("PUT", kMaps + "/a", body(version, "3")).status, 409);
  EXPECT_EQ(text("reason"), "Conflict");
  EXPECT_EQ(ask("PUT", kMaps + "/a", R"({"metadata":{"name":"a"},"data":{"k":"4"}})").status, 200);
  const std::string now = text("metadata.resourceVersion");
  EXPECT_EQ(ask("PUT", kMaps + "/a", R"({"metadata":{"name":"a"},"data":{"k":"4"}})").status, 200);
  EXPECT_EQ(text("metadata.resourceVersion"), now) << "a write that changes nothing makes no version";
  EXPECT_EQ(ask("PUT", kMaps + "/a", R"({"metadata":{"name":"a","uid":"other"}})").status, 409);
}

TEST_F(RulesTest, StatusAndGenerationAreApart) {
  server.table().add(custom_resource("example.com", "v1", "things", "Thing"));
  const std::string things = "/apis/example.com/v1/namespaces/default/things";
  ask("POST", things, R"({"metadata":{"name":"a"},"spec":{"n":1},"status":{"phase":"x"}})");
  EXPECT_EQ(object.find("status"), nullptr);
  ask("PATCH", things + "/a/status", R"({"spec":{"n":9},"status":{"phase":"y"}})", "application/merge-patch+json");
  EXPECT_EQ(text("status.phase"), "y");
  EXPECT_EQ(object.at("spec.n")->integer(), 1);
  EXPECT_EQ(object.at("metadata.generation")->integer(), 1);
  ask("PATCH", things + "/a", R"({"spec":{"n":2},"status":{"phase":"z"}})", "application/merge-patch+json");
  EXPECT_EQ(text("status.phase"), "y");
  EXPECT_EQ(object.at("metadata.generation")->integer(), 2);
  ask("PATCH", things + "/a", R"({"metadata":{"labels":{"l":"v"}}})", "application/merge-patch+json");
  EXPECT_EQ(object.at("metadata.generation")->integer(), 2);
  EXPECT_EQ(ask("PUT", things + "/a", R"({"metadata":{"name":"a"}})").status, 422) << "a custom resource's update needs a version";
}

TEST_F(RulesTest, FinalizersHoldADeletionBack) {
  ask("POST", kMaps, R"({"metadata":{"name":"a","finalizers":["example.com/f"]}})");
  EXPECT_EQ(ask("DELETE", kMaps + "/a").status, 200);
  EXPECT_FALSE(text("metadata.deletionTimestamp").empty());
  EXPECT_EQ(ask("PATCH", kMaps + "/a", R"({"metadata":{"finalizers":["example.com/f","g"]}})", "application/merge-patch+json").status, 422);
  EXPECT_EQ(ask("PATCH", kMaps + "/a", R"({"metadata":{"finalizers":null}})", "application/merge-patch+json").status, 200);
  EXPECT_EQ(ask("GET", kMaps + "/a").status, 404);
}

TEST_F(RulesTest, PreconditionsAndDryRunAreKept) {
  ask("POST", kMaps, R"({"metadata":{"name":"a"}})");
  const std::string uid = text("metadata.uid");
  EXPECT_EQ(ask("DELETE", kMaps + "/a", R"({"preconditions":{"uid":"other"}})").status, 409);
  EXPECT_EQ(ask("DELETE", kMaps + "/a?dryRun=All").status, 200);
  EXPECT_EQ(ask("POST", kMaps + "?dryRun=All", R"({"metadata":{"name":"b"}})").status, 201);
  EXPECT_EQ(ask("GET", kMaps + "/b").status, 404);
  EXPECT_EQ(ask("DELETE", kMaps + "/a", fmt::format(R"({{"preconditions":{{"uid":"{}"}}}})", uid)).status, 200);
  EXPECT_EQ(text("status"), "Success");
  EXPECT_EQ(ask("DELETE", kMaps + "/a").status, 404);
}

TEST_F(RulesTest, ApplyCreatesMergesTakesOutAndDisputes) {
  const std::string type = "application/apply-patch+yaml", kind = "apiVersion: v1\nkind: ConfigMap\n";
  EXPECT_EQ(ask("PATCH", kMaps + "/a?fieldManager=one", kind + "data: {k: v, gone: soon}\n", type).status, 201);
  EXPECT_EQ(ask("PATCH", kMaps + "/a?fieldManager=two", kind + "data: {other: x}\n", type).status, 200);
  EXPECT_EQ(text("data.k"), "v");
  EXPECT_EQ(ask("PATCH", kMaps + "/a?fieldManager=one", kind + "data: {k: w}\n", type).status, 200);
  EXPECT_EQ(object.at("data.gone"), nullptr);
  EXPECT_EQ(text("data.other"), "x");
  const std::string version = text("metadata.resourceVersion");
  ask("PATCH", kMaps + "/a?fieldManager=one", kind + "data: {k: w}\n", type);
  EXPECT_EQ(text("metadata.resourceVersion"), version);
  EXPECT_EQ(ask("PATCH", kMaps + "/a?fieldManager=two", kind + "data: {k: mine}\n", type).status, 409);
  EXPECT_EQ(ask("PATCH", kMaps + "/a?fieldManager=two&force=true", kind + "data: {k: mine}\n", type).status, 200);
  EXPECT_EQ(ask("PATCH", kMaps + "/a", kind, type).status, 422) << "no field manager";
}

TEST_F(RulesTest, WhoeverAppliesManagesWhatTheyWroteAndNoDefaults) {
  const std::string type = "application/apply-patch+yaml", deployments = "/apis/apps/v1/namespaces/default/deployments/d";
  const std::string kind = "apiVersion: apps/v1\nkind: Deployment\n";
  EXPECT_EQ(ask("PATCH", deployments + "?fieldManager=one",
                kind + "spec: {replicas: 2, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}\n", type)
                .status,
            201);
  EXPECT_EQ(ask("PATCH", deployments + "?fieldManager=two", kind + "metadata: {annotations: {x: one}, creationTimestamp: null}\n", type).status, 200) << object.dump();
  EXPECT_EQ(object.at("spec.replicas")->integer(), 2) << "the default is not wanted by whoever does not say it";

  const std::string policy = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/p";
  const std::string closed = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nspec: {podSelector: {}, policyTypes: [Ingress], ingress: []}\n";
  EXPECT_EQ(ask("PATCH", policy + "?fieldManager=one", closed, type).status, 201);
  EXPECT_EQ(ask("PATCH", policy, R"({"spec":{"ingress":[{}]}})", "application/merge-patch+json").status, 200);
  EXPECT_NE(object.at("spec.ingress"), nullptr);
  EXPECT_EQ(ask("PATCH", policy + "?fieldManager=one&force=true", closed, type).status, 200);
  EXPECT_EQ(object.at("spec.ingress"), nullptr) << "an empty list that is applied takes away what others put in";
}

TEST_F(RulesTest, ListsArePagedConsistentlyAndSelected) {
  for (int i = 0; i < 5; ++i) ask("POST", kMaps, fmt::format(R"({{"metadata":{{"name":"m{}","labels":{{"odd":"{}"}}}}}})", i, i % 2));
  ask("GET", kMaps + "?limit=2");
  EXPECT_EQ(object.find("items")->array()->size(), 2u);
  EXPECT_EQ(object.at("metadata.remainingItemCount")->integer(), 3);
  EXPECT_EQ((*object.find("items")->array())[0].find("kind"), nullptr) << "items of a typed list carry no kind";
  const std::string next = text("metadata.continue"), version = text("metadata.resourceVersion");
  ask("DELETE", kMaps + "/m3");
  ask("GET", kMaps + "?limit=10&continue=" + next);
  EXPECT_EQ(object.find("items")->array()->size(), 3u) << "a page shows the state of the first";
  EXPECT_EQ(text("metadata.resourceVersion"), version);
  ask("GET", kMaps + "?labelSelector=odd%3D1");
  EXPECT_EQ(object.find("items")->array()->size(), 1u);
  ask("GET", kMaps + "?fieldSelector=metadata.name%3Dm4");
  EXPECT_EQ(object.find("items")->array()->size(), 1u);
  EXPECT_EQ(ask("GET", kMaps + "?resourceVersion=99999").status, 504);
  EXPECT_EQ(object.at("details.retryAfterSeconds")->integer(), 1);
  server.store().compact();
  EXPECT_EQ(ask("GET", kMaps + "?limit=10&continue=" + next).status, 410);
  EXPECT_EQ(text("reason"), "Expired");
}

TEST_F(RulesTest, ANamespaceGoesWithAllItHolds) {
  server.add_namespace("team");
  ask("POST", "/api/v1/namespaces/team/configmaps", R"({"metadata":{"name":"a"}})");
  ask("POST", "/api/v1/namespaces/team/secrets", R"({"metadata":{"name":"s","finalizers":["example.com/x"]}})");
  EXPECT_EQ(ask("DELETE", "/api/v1/namespaces/team").status, 200);
  EXPECT_EQ(text("status.phase"), "Terminating");
  world.run_for(1s);
  EXPECT_EQ(ask("GET", "/api/v1/namespaces/team/configmaps/a").status, 404);
  EXPECT_EQ(ask("POST", "/api/v1/namespaces/team/configmaps", R"({"metadata":{"name":"b"}})").status, 403);
  EXPECT_EQ((*object.at("details.causes")->array())[0].text("reason"), "NamespaceTerminating");
  ask("GET", "/api/v1/namespaces/team");
  EXPECT_NE(last.body.find("Some content in the namespace has finalizers remaining: example.com/x in 1 resource instances"), std::string::npos);
  ask("PATCH", "/api/v1/namespaces/team/secrets/s", R"({"metadata":{"finalizers":null}})", "application/merge-patch+json");
  world.run_for(1s);
  EXPECT_EQ(ask("GET", "/api/v1/namespaces/team").status, 404);
}

TEST_F(RulesTest, WhatIsOwnedByNobodyAliveIsCollected) {
  SimLoop& loop = world.add_loop();
  ApiServerOptions options;
  options.garbage_period = 1s;
  ApiServer collecting(loop, options);
  const auto make = [&](const std::string& name, const std::string& owner_name, const std::string& uid) {
    collecting.request("POST", kMaps, fmt::format(R"({{"metadata":{{"name":"{}","ownerReferences":[{{"apiVersion":"v1","kind":"ConfigMap","name":"{}","uid":"{}"}}]}}}})", name, owner_name, uid));
  };
  const auto owner = json::parse(collecting.request("POST", kMaps, R"({"metadata":{"name":"owner"}})").body);
  make("kept", "owner", std::string(owner->text("metadata.uid")));
  make("other", "owner", "another-uid");
  world.run_for(5s);
  EXPECT_EQ(collecting.request("GET", kMaps + "/kept").status, 200);
  EXPECT_EQ(collecting.request("GET", kMaps + "/other").status, 404);
  collecting.request("DELETE", kMaps + "/owner");
  world.run_for(5s);
  EXPECT_EQ(collecting.request("GET", kMaps + "/kept").status, 404);
}

// A mirror of what an informer was told.
struct Mirror final : cache::InformerHandler {
  void on_added(const kube::ObjectRef& object, bool) override { put(*object); }
  void on_updated(const kube::ObjectRef&, const kube::ObjectRef& object) override { put(*object); }
  void on_deleted(const kube::ObjectRef& object, bool) override { names.erase(std::string(object->name())); }
  void on_synced() override { synced = true; }
  void put(const kube::Object& object) { names[std::string(object.name())] = std::string(object.resource_version()); }
  std::map<std::string, std::string> names;
  bool synced = false;
};

class WireTest : public testing::Test {
 protected:
  WireTest() {
    listener = *net::SimListener::listen(loop, net, "server", 443, http);
    kube::ConnectionConfig config;
    config.server = *kube::parse_server_url("http://server:443");
    config.token = "secret";
    transport = std::make_unique<kube::HttpTransport>(loop, connector, config, kube::HttpTransportOptions());
    server.handler().set_tokens({"secret"});
    server.handler().set_faults(faults);
    informers = std::make_unique<cache::InformerSet>(loop, *transport, cache::ReflectorOptions());
  }
  Task<void> fetch(kube::Request request) {
    auto response = co_await transport->send(std::move(request));
    answer = response ? *response : kube::Response();
  }
  kube::Response get(const std::string& target) {
    TaskScope scope(loop);
    loop.post([&] { scope.spawn(fetch(kube::Request("GET", target))); });
    world.run_for(5s);
    return answer;
  }
  cache::InformerHandle watch(Mirror& mirror, const std::string& labels = {}) {
    cache::InformerKey key;
    key.resource = cache::GroupVersionResource("", "v1", "configmaps");
    key.label_selector = labels;
    return informers->acquire(key, mirror);
  }
  void write(int i, const std::string& label = "a") {
    server.request("PATCH", fmt::format("{}/m{}?fieldManager=t&force=true", kMaps, i),
                   fmt::format("{{apiVersion: v1, kind: ConfigMap, metadata: {{labels: {{l: {}}}}}, data: {{n: \"{}\"}}}}", label, ++writes), "application/apply-patch+yaml");
  }
  std::map<std::string, std::string> truth(const std::string& label = {}) {
    std::map<std::string, std::string> out;
    for (const StoredPtr& o : server.store().list(*server.table().find("", "configmaps"), "")) {
      if (label.empty() || o->json.find("\"l\":\"" + label + "\"") != std::string::npos) out[std::string(o->name)] = std::to_string(o->version);
    }
    return out;
  }

  static ApiServerOptions short_history() {
    ApiServerOptions out;
    out.history.changes = 32;
    return out;
  }

  SimWorld world{7};
  SimLoop& loop = world.add_loop();
  net::SimNet net{world};
  RandomFaults faults{99};
  ApiServer server{loop, short_history()};
  net::HttpServer http{loop, server.handler()};
  std::unique_ptr<net::Listener> listener;
  net::SimConnector connector{loop, net, "client"};
  std::unique_ptr<kube::HttpTransport> transport;
  kube::Response answer;
  int writes = 0;
  std::unique_ptr<cache::InformerSet> informers;
};

TEST_F(WireTest, DiscoveryVersionAndTokens) {
  EXPECT_NE(get("/version").body.find("v1.36.3"), std::string::npos);
  EXPECT_NE(get("/apis").body.find("networking.k8s.io"), std::string::npos);
  EXPECT_NE(get("/apis/apps/v1").body.find("deployments/status"), std::string::npos);
  EXPECT_EQ(get("/apis/none/v1").status, 404);
  server.handler().set_tokens({"another"});
  EXPECT_EQ(get("/version").status, 401);
}

TEST_F(WireTest, AnInformerFollowsEveryChangeAndObjectsThatEnterAndLeaveASelector) {
  Mirror all, some;
  const auto one = watch(all), two = watch(some, "l=a");
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 3; ++i) write(static_cast<int>(world.random().below(10)), world.random().chance(0.5) ? "a" : "b");
    if (world.random().chance(0.2)) server.request("DELETE", fmt::format("{}/m{}", kMaps, world.random().below(10)));
    world.run_for(200ms);
  }
  world.run_for(5s);
  EXPECT_TRUE(all.synced && some.synced);
  EXPECT_EQ(all.names, truth());
  EXPECT_EQ(some.names, truth("a"));
  EXPECT_EQ(server.handler().open_watches(), 2u);
}

TEST_F(WireTest, AWatchFromAForgottenVersionIsTold410AndOneThatFallsBehindToo) {
  const uint64_t version = server.store().version();
  for (int i = 0; i < 40; ++i) write(i % 3);  // the history keeps 32
  const std::string body = get(fmt::format("/api/v1/configmaps?watch=true&resourceVersion={}", version)).body;
  EXPECT_NE(body.find("\"type\":\"ERROR\""), std::string::npos) << body;
  EXPECT_NE(body.find("\"code\":410"), std::string::npos);
  Mirror mirror;
  const auto handle = watch(mirror);
  world.run_for(2s);
  net.partition("client", "server", 20s);
  for (int i = 0; i < 2000; ++i) write(i % 5);
  world.run_for(120s);
  EXPECT_EQ(mirror.names, truth());
}

TEST_F(WireTest, WhatLeavesASelectionIsToldAsItLastBelongedToIt) {
  write(1, "a");
  const std::string version = std::to_string(server.store().version());
  write(1, "b");
  const std::string left = std::to_string(server.store().version());
  const std::string body = get(kMaps + "?watch=true&timeoutSeconds=1&labelSelector=l%3Da&resourceVersion=" + version).body;
  EXPECT_NE(body.find("{\"type\":\"DELETED\""), std::string::npos) << body;
  EXPECT_NE(body.find("\"l\":\"a\""), std::string::npos) << body;
  EXPECT_NE(body.find("\"resourceVersion\":\"" + left + "\""), std::string::npos) << body;
}

TEST_F(WireTest, AWatchEndsAtItsTimeAndWithTheResource) {
  server.table().add(custom_resource("example.com", "v1", "things", "Thing"));
  EXPECT_EQ(get("/apis/example.com/v1/things?watch=true&timeoutSeconds=2").status, 200);
  EXPECT_EQ(server.handler().open_watches(), 0u);
  EXPECT_EQ(get("/api/v1/configmaps?watch=true&sendInitialEvents=true&allowWatchBookmarks=true").status, 422);
}

TEST_F(WireTest, WhateverTheServerDoesAnInformerIsRightOnceItBehaves) {
  faults.rates.delay = faults.rates.too_many_requests = faults.rates.unavailable = faults.rates.expired = 0.15;
  faults.rates.no_watch_list = faults.rates.answer_cut = faults.rates.answer_never = faults.rates.stale = 0.15;
  faults.rates.watch_silent = faults.rates.watch_cut = faults.rates.watch_expired = 0.3;
  Mirror mirror;
  const auto handle = watch(mirror);
  for (int round = 0; round < 400; ++round) {
    write(static_cast<int>(world.random().below(10)));
    if (world.random().chance(0.2)) server.request("DELETE", fmt::format("{}/m{}", kMaps, world.random().below(10)));
    if (world.random().chance(0.02)) server.store().compact();
    world.run_for(world.random().between(Duration(0), 5s));
  }
  faults.rates = {};
  world.run_for(10min);
  EXPECT_TRUE(mirror.synced);
  EXPECT_EQ(mirror.names, truth());
}

}  // namespace
}  // namespace gs::apiserver
