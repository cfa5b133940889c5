// What clients see of verbs, options, patches, representations and discovery, asked without HTTP.
#include <fmt/format.h>

#include "apiserver/api_server.h"
#include "apiserver/discovery.h"
#include "apiserver/request_reader.h"
#include "apiserver/respond.h"
#include "apiserver/strategic_merge.h"
#include "runtime/sim_loop.h"

namespace gs::apiserver {
namespace {

using namespace std::chrono_literals;
const std::string kMaps = "/api/v1/namespaces/default/configmaps";
const std::string kPods = "/api/v1/namespaces/default/pods";
const std::string kDeployments = "/apis/apps/v1/namespaces/default/deployments";
const std::string kMerge = "application/merge-patch+json", kStrategic = "application/strategic-merge-patch+json", kJsonPatch = "application/json-patch+json";

class RestTest : public testing::Test {
 protected:
  Answer ask(const std::string& method, const std::string& target, const std::string& body = {}, const std::string& type = "application/json") {
    last = server.request(method, target, body, type);
    const auto parsed = json::parse(last.body);
    object = parsed ? *parsed : json::Value();
    return last;
  }
  std::string text(std::string_view path) { return std::string(object.text(path)); }
  std::string message() { return text("message"); }
  static ApiServerOptions options() {
    ApiServerOptions out;
    out.garbage_period = 100ms;
    return out;
  }
  void deployment(const std::string& name, int replicas = 2) {
    ask("POST", kDeployments, fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"replicas":{},"selector":{{"matchLabels":{{"app":"a"}}}},"template":{{"metadata":{{"labels":{{"app":"a"}}}},"spec":{{"containers":[{{"name":"c","image":"i:1"}}]}}}}}}}})", name, replicas));
  }
  SimWorld world{1};
  ApiServer server{world.add_loop(), options()};
  Answer last;
  json::Value object;
};

TEST_F(RestTest, UnknownParametersAreIgnoredAndBadOnesAreNamed) {
  EXPECT_EQ(ask("GET", kMaps + "?whatever=1&pretty=x").status, 200);
  EXPECT_EQ(ask("GET", kMaps + "?limit=abc").status, 400);
  EXPECT_EQ(message(), "strconv.ParseInt: parsing \"abc\": invalid syntax");
  EXPECT_EQ(ask("GET", kMaps + "?resourceVersionMatch=Exact").status, 422);
  EXPECT_EQ(message(), "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
  EXPECT_EQ(ask("GET", kMaps + "?resourceVersionMatch=Some&resourceVersion=1").status, 422);
  EXPECT_EQ(message(), "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Unsupported value: \"Some\": supported values: \"Exact\", \"NotOlderThan\", \"\"");
  EXPECT_EQ(ask("POST", kMaps + "?dryRun=Some", R"({"metadata":{"name":"a"}})").status, 422);
  EXPECT_EQ(message(), "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"");
  EXPECT_EQ(ask("PATCH", kMaps + "/a?force=true", "{}", kMerge).status, 422);
  EXPECT_EQ(message(), "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch");
  EXPECT_EQ(ask("DELETE", kMaps + "/a?propagationPolicy=Some").status, 422);
  EXPECT_EQ(message(), "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Some\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"");
}

TEST_F(RestTest, PathsThatNothingServesAreTwoKindsOf404AndMethodsThatDoNotFitA405) {
  EXPECT_EQ(ask("GET", "/apis/nothing.example.com/v1/things").body, "404 page not found\n");
  EXPECT_EQ(ask("GET", "/api/v1/things").status, 404);
  EXPECT_EQ(message(), "the server could not find the requested resource");
  EXPECT_EQ(ask("GET", "/api/v1/namespaces/default/nodes").status, 404);
  for (const auto& [method, path] : {std::pair("POST", "/api/v1/configmaps"), std::pair("DELETE", "/api/v1/configmaps"), std::pair("PUT", "/api/v1/namespaces/default/configmaps"),
                                     std::pair("POST", "/api/v1/namespaces/default/configmaps/a"), std::pair("HEAD", "/api/v1/configmaps")}) {
    EXPECT_EQ(ask(method, path, "{}").status, 405) << method << " " << path;
    EXPECT_EQ(message(), "the server does not allow this method on the requested resource");
  }
  EXPECT_EQ(ask("GET", kPods + "/a/log").status, 404);
  EXPECT_EQ(ask("GET", kPods + "/a/nonsense").status, 404);
}

TEST_F(RestTest, MediaTypesOfBodiesAreJsonAndYamlAndPatchesOfTheirKinds) {
  EXPECT_EQ(ask("POST", kMaps, "metadata: {name: yam}\ndata: {k: v}\n", "application/yaml").status, 201);
  EXPECT_EQ(text("data.k"), "v");
  EXPECT_EQ(ask("POST", kMaps, "x", "text/plain").status, 415);
  EXPECT_EQ(message(), "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf");
  EXPECT_EQ(ask("PATCH", kMaps + "/yam", "{}", "application/json").status, 415);
  EXPECT_EQ(message(), "415: Unsupported Media Type");
  server.table().add(custom_resource("example.com", "v1", "things", "Thing"));
  EXPECT_EQ(ask("PATCH", "/apis/example.com/v1/namespaces/default/things/a", "{}", kStrategic).status, 415);
}

TEST_F(RestTest, FieldSelectorsAreThoseOfTheType) {
  ask("POST", kPods, R"({"metadata":{"name":"p"},"spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}]}})");
  const auto count = [&](const std::string& selector) {
    ask("GET", kPods + "?fieldSelector=" + selector);
    return object.find("items") == nullptr ? -1 : static_cast<int>(object.find("items")->array()->size());
  };
  EXPECT_EQ(count("spec.nodeName%3Dn1"), 1);
  EXPECT_EQ(count("spec.nodeName!%3Dn1"), 0);
  EXPECT_EQ(count("spec.hostNetwork%3D%3Dfalse"), 1);
  EXPECT_EQ(count("spec.color%3Dred"), -1);
  EXPECT_EQ(message(), "field label not supported: spec.color");
  EXPECT_EQ(ask("GET", kMaps + "?fieldSelector=data.k%3Dv").status, 400);
  EXPECT_EQ(message(), "\"data.k\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
  EXPECT_EQ(ask("GET", kMaps + "?fieldSelector=nonsense").status, 400);
  EXPECT_EQ(message(), "invalid selector: 'nonsense'; can't understand 'nonsense'");
  ResourceType things = custom_resource("example.com", "v1", "things", "Thing");
  things.selectable_fields = {".spec.color"};
  server.table().add(things);
  EXPECT_EQ(ask("GET", "/apis/example.com/v1/things?fieldSelector=spec.color%3Dred").status, 200);
  EXPECT_EQ(ask("GET", "/apis/example.com/v1/things?fieldSelector=spec.size%3D1").status, 400);
}

TEST_F(RestTest, AListThatIsTooOldGoesOnInconsistentlyWhereTheClientWantsIt) {
  for (int i = 0; i < 5; ++i) ask("POST", kMaps, fmt::format(R"({{"metadata":{{"name":"m{}"}}}})", i));
  ask("GET", kMaps + "?limit=2");
  const std::string next = text("metadata.continue");
  ask("POST", kMaps, R"({"metadata":{"name":"m9"}})");
  server.store().compact();
  EXPECT_EQ(ask("GET", kMaps + "?limit=10&continue=" + next).status, 410);
  const std::string inconsistent = text("metadata.continue");
  ASSERT_FALSE(inconsistent.empty());
  EXPECT_EQ(ask("GET", kMaps + "?limit=10&continue=" + inconsistent).status, 200);
  EXPECT_EQ(object.find("items")->array()->size(), 4u) << "m2 to m4, and m9 which came later";
  EXPECT_EQ(ask("GET", kMaps + "?continue=garbage").status, 400);
  EXPECT_EQ(ask("GET", kMaps + "?resourceVersion=2&continue=" + inconsistent).status, 400);
  EXPECT_EQ(message(), "specifying resource version is not allowed when using continue");
}

TEST_F(RestTest, ForegroundWaitsForBlockingDependentsAndOrphanLeavesThemAlone) {
  const auto make = [&](const std::string& name, const std::string& owner, const std::string& uid, const std::string& extra = {}) {
    ask("POST", kMaps, fmt::format(R"({{"metadata":{{"name":"{}","ownerReferences":[{{"apiVersion":"v1","kind":"ConfigMap","name":"{}","uid":"{}","blockOwnerDeletion":true}}]{}}}}})", name, owner, uid, extra));
  };
  ask("POST", kMaps, R"({"metadata":{"name":"front"}})");
  make("held", "front", text("metadata.uid"), R"(,"finalizers":["example.com/f"])");
  EXPECT_EQ(ask("DELETE", kMaps + "/front?propagationPolicy=Foreground").status, 200);
  EXPECT_EQ((*object.at("metadata.finalizers")->array())[0].string()->c_str(), std::string("foregroundDeletion"));
  world.run_for(1s);
  EXPECT_EQ(ask("GET", kMaps + "/front").status, 200) << "its dependent is held by a finalizer";
  ask("GET", kMaps + "/held");
  EXPECT_FALSE(text("metadata.deletionTimestamp").empty());
  ask("PATCH", kMaps + "/held", R"({"metadata":{"finalizers":null}})", kMerge);
  world.run_for(1s);
  EXPECT_EQ(ask("GET", kMaps + "/held").status, 404);
  EXPECT_EQ(ask("GET", kMaps + "/front").status, 404);

  ask("POST", kMaps, R"({"metadata":{"name":"parent"}})");
  make("child", "parent", text("metadata.uid"));
  ask("DELETE", kMaps + "/parent", R"({"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Orphan"})");
  world.run_for(1s);
  EXPECT_EQ(ask("GET", kMaps + "/parent").status, 404);
  EXPECT_EQ(ask("GET", kMaps + "/child").status, 200);
  EXPECT_EQ(object.at("metadata.ownerReferences"), nullptr);
}

TEST_F(RestTest, APodWithANodeIsDeletedGracefullyAndOneWithoutAtOnce) {
  ask("POST", kPods, R"({"metadata":{"name":"a"},"spec":{"nodeName":"n","terminationGracePeriodSeconds":30,"containers":[{"name":"c","image":"i"}]}})");
  EXPECT_EQ(ask("DELETE", kPods + "/a").status, 200);
  EXPECT_EQ(text("kind"), "Pod");
  EXPECT_EQ(object.at("metadata.deletionGracePeriodSeconds")->integer(), 30);
  EXPECT_EQ(ask("GET", kPods + "/a").status, 200);
  EXPECT_EQ(ask("DELETE", kPods + "/a?gracePeriodSeconds=0").status, 200);
  EXPECT_EQ(ask("GET", kPods + "/a").status, 404);
  ask("POST", kPods, R"({"metadata":{"name":"b"},"spec":{"containers":[{"name":"c","image":"i"}]}})");
  ask("DELETE", kPods + "/b");
  EXPECT_EQ(ask("GET", kPods + "/b").status, 404);
}

TEST_F(RestTest, SystemNamespacesStayAndFinalizeIsAWayToLetOneGo) {
  for (const char* ns : {"default", "kube-system", "kube-public"}) {
    EXPECT_EQ(ask("DELETE", std::string("/api/v1/namespaces/") + ns).status, 403);
    EXPECT_EQ(message(), fmt::format("namespaces \"{}\" is forbidden: this namespace may not be deleted", ns));
  }
  server.add_namespace("mine");
  ask("GET", "/api/v1/namespaces/mine");
  EXPECT_EQ(text("metadata.labels.kubernetes"), "");
  EXPECT_NE(last.body.find(R"("kubernetes.io/metadata.name":"mine")"), std::string::npos);
  EXPECT_NE(last.body.find(R"("finalizers":["kubernetes"])"), std::string::npos);
  EXPECT_EQ(ask("PUT", "/api/v1/namespaces/mine/finalize", R"({"metadata":{"name":"mine"},"spec":{"finalizers":["kubernetes","example.com/f"]}})").status, 200);
  ask("DELETE", "/api/v1/namespaces/mine");
  world.run_for(1s);
  EXPECT_EQ(ask("GET", "/api/v1/namespaces/mine").status, 200);
  EXPECT_EQ(ask("PUT", "/api/v1/namespaces/mine/finalize", R"({"metadata":{"name":"mine"},"spec":{}})").status, 200);
  EXPECT_EQ(ask("GET", "/api/v1/namespaces/mine").status, 404);
}

TEST_F(RestTest, ScaleIsReadUpdatedAndPatched) {
  deployment("d");
  EXPECT_EQ(ask("GET", kDeployments + "/d/scale").status, 200);
  EXPECT_EQ(text("kind"), "Scale");
  EXPECT_EQ(object.at("spec.replicas")->integer(), 2);
  EXPECT_EQ(text("status.selector"), "app=a");
  EXPECT_EQ(ask("PATCH", kDeployments + "/d/scale", R"({"spec":{"replicas":5}})", kMerge).status, 200);
  EXPECT_EQ(object.at("spec.replicas")->integer(), 5);
  EXPECT_EQ(ask("PUT", kDeployments + "/d/scale", R"({"metadata":{"name":"d","resourceVersion":"1"},"spec":{"replicas":1}})").status, 409);
  EXPECT_EQ(ask("PUT", kDeployments + "/d/scale", R"({"metadata":{"name":"d"},"spec":{"replicas":-1}})").status, 422);
  ask("GET", kDeployments + "/d");
  EXPECT_EQ(object.at("spec.replicas")->integer(), 5);
  EXPECT_EQ(object.at("metadata.generation")->integer(), 2);
}

TEST_F(RestTest, BindingAndEvictionKeepTheirRules) {
  ask("POST", kPods, R"({"metadata":{"name":"p","labels":{"app":"a"}},"spec":{"containers":[{"name":"c","image":"i"}]}})");
  EXPECT_EQ(ask("POST", kPods + "/p/binding", R"({"metadata":{"name":"p"},"target":{"kind":"Node","name":"n"}})").status, 201);
  EXPECT_EQ(ask("POST", kPods + "/p/binding", R"({"metadata":{"name":"p"},"target":{"kind":"Node","name":"m"}})").status, 409);
  ask("PATCH", kPods + "/p/status", R"({"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}})", kMerge);
  ask("POST", "/apis/policy/v1/namespaces/default/poddisruptionbudgets", R"({"metadata":{"name":"b"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"a"}}}})");
  EXPECT_EQ(ask("POST", kPods + "/p/eviction", R"({"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"p"}})").status, 429);
  EXPECT_EQ(message(), "Cannot evict pod as it would violate the pod's disruption budget.");
  ask("PATCH", "/apis/policy/v1/namespaces/default/poddisruptionbudgets/b/status", R"({"status":{"disruptionsAllowed":1}})", kMerge);
  EXPECT_EQ(ask("POST", kPods + "/p/eviction", R"({"metadata":{"name":"p"},"deleteOptions":{"gracePeriodSeconds":0}})").status, 201);
  EXPECT_EQ(ask("GET", kPods + "/p").status, 404);
}

TEST_F(RestTest, StrategicMergeKnowsKeysOrdersAndDirectives) {
  ask("POST", kDeployments, R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"app":"a"}},"template":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[
    {"name":"a","image":"a:1","env":[{"name":"X","value":"1"}]},{"name":"b","image":"b:1"}]}}}})");
  ask("PATCH", kDeployments + "/d", R"({"spec":{"template":{"spec":{"containers":[{"name":"b","image":"b:2"},{"name":"a","env":[{"name":"Y","value":"2"}]}]}}}})", kStrategic);
  const json::Array* containers = object.at("spec.template.spec.containers")->array();
  ASSERT_EQ(containers->size(), 2u);
  EXPECT_EQ((*containers)[0].text("name"), "b") << "what the patch names comes in its order";
  EXPECT_EQ((*containers)[0].text("image"), "b:2");
  EXPECT_EQ((*containers)[1].text("image"), "a:1");
  EXPECT_EQ((*containers)[1].find("env")->array()->size(), 2u);
  ask("PATCH", kDeployments + "/d", R"({"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"a"},{"name":"b"}],"containers":[{"name":"b","$patch":"delete"},{"name":"a","image":"a:3"}]}}}})", kStrategic);
  containers = object.at("spec.template.spec.containers")->array();
  ASSERT_EQ(containers->size(), 1u);
  EXPECT_EQ((*containers)[0].text("image"), "a:3");
  ask("PATCH", kDeployments + "/d", R"({"metadata":{"finalizers":["e.com/x","e.com/y"]}})", kStrategic);
  ask("PATCH", kDeployments + "/d", R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["e.com/x"],"$setElementOrder/finalizers":["e.com/y"]}})", kStrategic);
  EXPECT_EQ(object.at("metadata.finalizers")->dump(), R"(["e.com/y"])");
  ask("PATCH", kDeployments + "/d", R"({"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}})", kStrategic);
  EXPECT_EQ(object.at("spec.strategy")->dump(), R"({"type":"Recreate"})");
  EXPECT_EQ(ask("PATCH", kDeployments + "/d", R"({"spec":{"template":{"spec":{"containers":[{"image":"no-name"}]}}}})", kStrategic).status, 500);
  EXPECT_EQ(message(), "map: map[image:no-name] does not contain declared merge key: name");
}

TEST_F(RestTest, GeneratedNamesAreTriedAgainWhereTheyAreTaken) {
  for (int i = 0; i < 50; ++i) EXPECT_EQ(ask("POST", kMaps, R"({"metadata":{"generateName":"x-"}})").status, 201);
  EXPECT_EQ(ask("POST", kMaps, fmt::format(R"({{"metadata":{{"generateName":"{}"}}}})", std::string(80, 'a'))).status, 201);
  EXPECT_EQ(text("metadata.name").size(), 63u);
}

TEST_F(RestTest, SomeTypesAreCreatedByUpdateAndSomeNeedAVersion) {
  const std::string leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
  EXPECT_EQ(ask("PUT", leases + "/l", R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"a"}})").status, 201);
  EXPECT_EQ(ask("PUT", leases + "/l", R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"b"}})").status, 422);
  EXPECT_EQ(message(), "leases.coordination.k8s.io \"l\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update");
  EXPECT_EQ(ask("PUT", kMaps + "/none", R"({"metadata":{"name":"none"}})").status, 404);
}

TEST_F(RestTest, EventsEndAfterAnHourSinceTheirLastWrite) {
  const std::string events = "/api/v1/namespaces/default/events";
  for (const char* name : {"a", "b"}) {
    ask("POST", events, fmt::format(R"({{"metadata":{{"name":"{}"}},"involvedObject":{{"kind":"Pod","name":"p","namespace":"default"}},"reason":"Started","type":"Normal"}})", name));
    EXPECT_EQ(last.status, 201) << last.body;
  }
  world.run_for(50min);
  ask("PATCH", events + "/b", R"({"count":2})", kMerge);
  world.run_for(20min);
  EXPECT_EQ(ask("GET", events + "/a").status, 404);
  EXPECT_EQ(ask("GET", events + "/b").status, 200);
  world.run_for(41min);
  EXPECT_EQ(ask("GET", events + "/b").status, 404);
}

TEST_F(RestTest, NamespacesAreFurnishedWhereAsked) {
  ApiServerOptions options;
  options.objects.service_accounts = true;
  options.objects.root_ca = "PEM";
  options.objects.kubernetes_service = true;
  ApiServer other(world.add_loop(), options);
  other.add_namespace("team");
  world.run_for(1s);
  EXPECT_EQ(other.request("GET", "/api/v1/namespaces/team/serviceaccounts/default").status, 200);
  EXPECT_NE(other.request("GET", "/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt").body.find("\"ca.crt\":\"PEM\""), std::string::npos);
  EXPECT_EQ(other.request("GET", "/api/v1/namespaces/default/services/kubernetes").status, 200);
  for (const char* ns : {"default", "kube-system", "kube-public", "kube-node-lease"}) EXPECT_EQ(other.request("GET", std::string("/api/v1/namespaces/") + ns).status, 200);
}

TEST_F(RestTest, APodHasNoLog) {
  const std::string pod = R"({{"metadata":{{"name":"{}"}},"spec":{{{}"containers":[{{"name":"c","image":"i"}}]}}}})";
  ask("POST", kPods, fmt::format(fmt::runtime(pod), "waits", ""));
  ask("POST", kPods, fmt::format(fmt::runtime(pod), "runs", R"("nodeName":"n",)"));
  EXPECT_EQ(ask("GET", kPods + "/waits/log").status, 400);
  EXPECT_EQ(message(), "pod waits does not have a host assigned");
  EXPECT_EQ(ask("GET", kPods + "/runs/log").status, 501);
  EXPECT_EQ(message(), "pods/log is not served by this server");
}

TEST_F(RestTest, WhatFurnishesNamespacesIsMadeAgainAndPutRight) {
  ApiServerOptions options;
  options.objects.service_accounts = true;
  options.objects.root_ca = "PEM";
  ApiServer other(world.add_loop(), options);
  const std::string account = "/api/v1/namespaces/default/serviceaccounts/default", ca = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt";
  world.run_for(1s);
  const std::string published = other.request("GET", ca).body;
  EXPECT_NE(published.find("No other usage is guaranteed across distributions of Kubernetes clusters."), std::string::npos) << published;

  EXPECT_EQ(other.request("DELETE", account).status, 200);
  EXPECT_EQ(other.request("DELETE", ca).status, 200);
  EXPECT_EQ(other.request("GET", ca).status, 404);
  world.run_for(1s);
  EXPECT_EQ(other.request("GET", account).status, 200);
  EXPECT_EQ(other.request("GET", ca).status, 200);

  EXPECT_EQ(other.request("PATCH", ca, R"({"metadata":{"annotations":{"mine":"yes"}},"data":{"ca.crt":"other","more":"1"}})", kMerge).status, 200);
  world.run_for(1s);
  const auto corrected = json::parse(other.request("GET", ca).body);
  EXPECT_EQ(corrected->find("data")->dump(), R"({"ca.crt":"PEM"})");
  EXPECT_EQ(corrected->text("metadata.annotations.mine"), "yes");
  const std::string version(corrected->text("metadata.resourceVersion"));
  world.run_for(1s);
  EXPECT_EQ(json::parse(other.request("GET", ca).body)->text("metadata.resourceVersion"), version) << "nothing to do, nothing written";
}

TEST(DiscoveryTest, SaysTheHashOfTheStorageVersionAsKubernetesDoes) {
  const ResourceTable table;
  EXPECT_EQ(storage_version_hash(*table.find("", "pods")), "xPOwRZ+Yhw8=");
  EXPECT_EQ(storage_version_hash(*table.find("apps", "deployments")), "8aSe+NMegvE=");
}

TEST(DiscoveryTest, IsServedInTheOldFormAndAggregatedWithAnEtag) {
  const ResourceTable table;
  net::HttpRequest request("GET", "/apis");
  EXPECT_EQ(json::parse(discovery(table, request, "/apis")->body)->text("kind"), "APIGroupList");
  request.headers.emplace_back("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json");
  const auto aggregated = discovery(table, request, "/apis");
  EXPECT_EQ(aggregated->content_type, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  EXPECT_EQ(json::parse(aggregated->body)->text("kind"), "APIGroupDiscoveryList");
  request.headers.emplace_back("if-none-match", '"' + aggregated->etag + '"');
  EXPECT_EQ(discovery(table, request, "/apis")->status, 304);
  EXPECT_EQ(json::parse(discovery(table, request, "/api/v1")->body)->text("groupVersion"), "v1");
  EXPECT_NE(discovery(table, request, "/openapi/v3/apis/apps/v1")->body.find("\"fieldValidation\""), std::string::npos);
  const auto core = json::parse(discovery(table, request, "/openapi/v3/api/v1")->body);
  EXPECT_EQ(core->pointer("/components/schemas/core.v1.ResourceRequirements/properties/limits/additionalProperties")->dump(),
            R"({"allOf":[{"$ref":"#/components/schemas/api.resource.Quantity"}]})");
  EXPECT_NE(core->pointer("/components/schemas/api.resource.Quantity"), nullptr);
}

TEST(DiscoveryTest, HealthSaysWhatItLookedAt) {
  EXPECT_EQ(health("/readyz", "", ok())->body, "ok");
  EXPECT_EQ(health("/readyz", "verbose", ok())->body, "[+]ping ok\n[+]log ok\n[+]etcd ok\nreadyz check passed\n");
  const Status broken = fail(Code::kUnavailable, "the disk is full");
  EXPECT_EQ(health("/readyz", "", broken)->status, 500);
  EXPECT_EQ(health("/readyz", "exclude=etcd", broken)->status, 200);
  EXPECT_EQ(health("/livez", "", broken)->status, 200);
  EXPECT_EQ(health("/readyz/etcd", "", broken)->status, 500);
  EXPECT_FALSE(health("/api", "", ok()));
}

TEST(RespondTest, WarningsAreHeadersWithQuotes) {
  Answer answer(200, "");
  answer.warnings = {"unknown field \"spec.x\""};
  EXPECT_EQ(*net::find_header(head_of(answer).headers, "warning"), R"(299 - "unknown field \"spec.x\"")");
}

TEST(RespondTest, TheAuditIdIsTheClientsOrMade) {
  Random random(1);
  net::HttpRequest request("GET", "/api");
  EXPECT_EQ(net::find_header(head_of(Answer(), request, random).headers, "audit-id")->size(), 36u);
  request.headers.emplace_back("audit-id", "mine");
  EXPECT_EQ(*net::find_header(head_of(Answer(), request, random).headers, "audit-id"), "mine");
}

TEST(RequestReaderTest, ReadsTheDeprecatedWatchPathsAndWhatEachMethodMeans) {
  const auto one = read_request("GET", "/api/v1/watch/namespaces/default/pods/p", "", "");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->verb, gateway::Verb::kWatch);
  EXPECT_EQ(one->option("fieldSelector"), "metadata.name=p");
  EXPECT_EQ(read_request("GET", "/apis/apps/v1/watch/deployments", "", "")->verb, gateway::Verb::kWatch);
  EXPECT_EQ(read_request("GET", "/api/v1/pods", "watch=1", "")->verb, gateway::Verb::kWatch);
  EXPECT_EQ(read_request("GET", "/api/v1/pods", "watch=false", "")->verb, gateway::Verb::kList);
  EXPECT_EQ(read_request("GET", "/api/v1/namespaces/a/status", "", "")->subresource, "status");
  EXPECT_EQ(read_request("GET", "/api/v1/namespaces/a/pods/p%2Fq", "", "")->name, "p/q");
  EXPECT_EQ(read_request("DELETE", "/api/v1/namespaces/a/pods", "", "")->verb, gateway::Verb::kDeleteCollection);
  EXPECT_FALSE(read_request("GET", "/nothing", "", ""));
}

}  // namespace
}  // namespace gs::apiserver
