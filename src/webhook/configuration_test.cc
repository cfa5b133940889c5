#include "webhook/configuration.h"

#include "base/strings.h"
#include "json/patch.h"
#include "json/yaml.h"

namespace gs::webhook {
namespace {

using json::Value;

Value yaml(const std::string& text) {
  auto documents = json::parse_yaml(text);
  EXPECT_TRUE(documents) << documents.error().message;
  return (*documents)[0];
}

Endpoint endpoint(ConfigurationKind kind = ConfigurationKind::kMutating) {
  Endpoint out;
  out.webhook = "w";
  out.base = "https://plane.example:9443";
  out.port = 9443;
  out.path = "/p1" + path_of(kind, "w");
  out.ca_bundle = "CA";
  return out;
}

// Each a webhook configuration with one entry by url and one by service.
Value two_entries() {
  return yaml(R"(
metadata: {name: c, resourceVersion: "7", labels: {a: b}}
webhooks:
- {name: one.example.com, clientConfig: {url: "https://old.example/x", caBundle: T0xE}, rules: [{apiGroups: [""], resources: [pods]}], failurePolicy: Fail}
- {name: two.example.com, clientConfig: {service: {namespace: ns, name: svc}}, rules: [{apiGroups: ["*"], resources: ["*"]}], timeoutSeconds: 7}
)");
}

Value applied(const Value& configuration, const Value& patch) {
  auto out = json::apply_json_patch(configuration, patch);
  EXPECT_TRUE(out) << out.error().message;
  return *out;
}

std::string spoken(const std::vector<std::string>& changes) { return join(changes, " "); }

TEST(Configuration, OnlyTheEndpointAndItsBundleAreWrittenAndTheNextPlanFindsNothing) {
  const Value before = two_entries();
  const auto plan = plan_configuration(ConfigurationKind::kMutating, before, endpoint());
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_FALSE(plan->drift);
  EXPECT_EQ(plan->timeout_seconds, 7);
  ASSERT_EQ(plan->services.size(), 1u);
  EXPECT_EQ(plan->services[0].key(), "ns/svc");
  EXPECT_EQ(plan->services[0].port, 9443);
  for (const Value& operation : *plan->patch.array()) {
    const std::string path(operation.text("path"));
    EXPECT_TRUE(path == "/metadata/resourceVersion" || path.starts_with("/metadata/annotations") || path.find("/clientConfig/") != std::string::npos) << path;
  }
  EXPECT_EQ((*plan->patch.array())[0].text("value"), "7") << "guarded by what was seen";
  const Value after = applied(before, plan->patch);
  EXPECT_EQ(after.pointer("/webhooks/0/clientConfig/url")->string()->c_str(), std::string("https://plane.example:9443/p1/admissionwebhooks/w"));
  EXPECT_EQ(*after.pointer("/webhooks/0/clientConfig/caBundle")->string(), base64_encode("CA"));
  EXPECT_EQ(after.pointer("/webhooks/1/clientConfig/service")->dump(), R"({"namespace":"ns","name":"svc","port":9443,"path":"/p1/admissionwebhooks/w"})");
  EXPECT_EQ(after.pointer("/webhooks/1/clientConfig/url"), nullptr) << "a service is kept";
  EXPECT_EQ(after.pointer("/webhooks/0/rules")->dump(), before.pointer("/webhooks/0/rules")->dump());
  EXPECT_EQ(owner_of(after), "w");
  const auto again = plan_configuration(ConfigurationKind::kMutating, after, endpoint());
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->patch.is_null()) << again->patch.dump();
}

TEST(Configuration, TheAuthorsPortStaysWhereSlicesMapIt) {
  Endpoint by_slice = endpoint();
  by_slice.keep_service_port = true;
  const auto plan = plan_configuration(ConfigurationKind::kMutating, two_entries(), by_slice);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->services[0].port, 443);
  EXPECT_EQ(applied(two_entries(), plan->patch).pointer("/webhooks/1/clientConfig/service/port"), nullptr);
}

TEST(Configuration, ATimeoutIsWrittenWhereItIsGivenAndGivenBack) {
  Endpoint timed = endpoint();
  timed.timeout_seconds = 5;
  const Value after = applied(two_entries(), plan_configuration(ConfigurationKind::kMutating, two_entries(), timed)->patch);
  EXPECT_EQ(after.pointer("/webhooks/1/timeoutSeconds")->integer(), 5);
  const Value restored = applied(after, release_patch(ConfigurationKind::kMutating, after, "w", OnDelete::kRestore));
  EXPECT_EQ(restored.pointer("/webhooks/1/timeoutSeconds")->integer(), 7);
}

TEST(Configuration, WhatSomebodyChangedBackIsMendedAndSaidToBeDrift) {
  Value after = applied(two_entries(), plan_configuration(ConfigurationKind::kMutating, two_entries(), endpoint())->patch);
  *after.pointer("/webhooks/0/clientConfig/caBundle") = "AAAA";
  after.pointer("/webhooks/1/clientConfig/service")->make_object().erase("path");
  const auto plan = plan_configuration(ConfigurationKind::kMutating, after, endpoint());
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->drift);
  EXPECT_EQ(spoken(plan->changes), "webhooks[0].clientConfig.caBundle webhooks[1].clientConfig.service.path");
}

TEST(Configuration, ANewPrefixOrBundleReplacesOursAndKeepsTheFormerEndpoint) {
  const Value after = applied(two_entries(), plan_configuration(ConfigurationKind::kMutating, two_entries(), endpoint())->patch);
  Endpoint rotated = endpoint();
  rotated.path = "/p2/admissionwebhooks/w";
  rotated.ca_bundle = "CA and CB";
  const Value later = applied(after, plan_configuration(ConfigurationKind::kMutating, after, rotated)->patch);
  const Value restored = applied(later, release_patch(ConfigurationKind::kMutating, later, "w", OnDelete::kRestore));
  EXPECT_EQ(restored.pointer("/webhooks/0/clientConfig")->dump(), R"({"url":"https://old.example/x","caBundle":"T0xE"})");
  EXPECT_EQ(restored.pointer("/webhooks/1/clientConfig")->dump(), R"({"service":{"namespace":"ns","name":"svc"}})");
  EXPECT_EQ(owner_of(restored), "");
}

TEST(Configuration, AnAuthorsNewEndpointIsTheOneThatIsGivenBack) {
  Value after = applied(two_entries(), plan_configuration(ConfigurationKind::kMutating, two_entries(), endpoint())->patch);
  // Applied again without a bundle: ours stays in the object.
  *after.pointer("/webhooks/0/clientConfig/url") = "https://newer.example/x";
  const Value mended = applied(after, plan_configuration(ConfigurationKind::kMutating, after, endpoint())->patch);
  const Value restored = applied(mended, release_patch(ConfigurationKind::kMutating, mended, "w", OnDelete::kRestore));
  EXPECT_EQ(restored.pointer("/webhooks/0/clientConfig/url")->string()->c_str(), std::string("https://newer.example/x"));
  EXPECT_EQ(*restored.pointer("/webhooks/0/clientConfig/caBundle")->string(), "T0xE") << "not the plane's own";
}

TEST(Configuration, RemovingTakesOurEntriesAndLeavesWhatPointsElsewhere) {
  Value after = applied(two_entries(), plan_configuration(ConfigurationKind::kMutating, two_entries(), endpoint())->patch);
  *after.pointer("/webhooks/0/clientConfig/url") = "https://elsewhere.example/y";
  const Value removed = applied(after, release_patch(ConfigurationKind::kMutating, after, "w", OnDelete::kRemoveWebhook));
  ASSERT_EQ(removed.find("webhooks")->array()->size(), 1u);
  EXPECT_EQ(removed.pointer("/webhooks/0/name")->string()->c_str(), std::string("one.example.com"));
}

TEST(Configuration, FormerEndpointsAreWhatAProbeDials) {
  const Value after = applied(two_entries(), plan_configuration(ConfigurationKind::kMutating, two_entries(), endpoint())->patch);
  const auto previous = previous_endpoints(ConfigurationKind::kMutating, after);
  ASSERT_EQ(previous.size(), 2u);
  EXPECT_EQ(previous[0].host, "old.example");
  EXPECT_EQ(previous[0].ca_bundle, "OLD");
  EXPECT_EQ(previous[1].host, "svc.ns.svc");
  EXPECT_EQ(previous[1].port, 443);
}

TEST(Configuration, OursWithoutAMemoryOfWhatWasBeforeIsNotKnown) {
  Value after = applied(two_entries(), plan_configuration(ConfigurationKind::kMutating, two_entries(), endpoint())->patch);
  after.pointer("/metadata/annotations")->make_object().erase(kPreviousAnnotation);
  const Value adopted = applied(after, plan_configuration(ConfigurationKind::kMutating, after, endpoint())->patch);
  const auto previous = previous_endpoints(ConfigurationKind::kMutating, adopted);
  ASSERT_EQ(previous.size(), 2u);
  EXPECT_FALSE(previous[0].known);
}

TEST(Configuration, ACrdIsConfiguredAndGivenBack) {
  const Value crd = yaml(R"(
metadata: {name: things.example.com, resourceVersion: "3", annotations: {x: y}}
spec:
  group: example.com
  conversion: {strategy: Webhook, webhook: {conversionReviewVersions: [v1], clientConfig: {url: "https://old.example/convert"}}}
)");
  const auto plan = plan_configuration(ConfigurationKind::kConversion, crd, endpoint(ConfigurationKind::kConversion));
  ASSERT_TRUE(plan) << plan.error().message;
  const Value after = applied(crd, plan->patch);
  EXPECT_EQ(after.at("spec.conversion.webhook.clientConfig.url")->string()->c_str(), std::string("https://plane.example:9443/p1/conversionwebhooks/w"));
  EXPECT_EQ(after.at("spec.conversion.webhook.conversionReviewVersions")->dump(), R"(["v1"])");
  EXPECT_TRUE(plan_configuration(ConfigurationKind::kConversion, after, endpoint(ConfigurationKind::kConversion))->patch.is_null());
  EXPECT_EQ(applied(after, release_patch(ConfigurationKind::kConversion, after, "w", OnDelete::kRestore)).at("spec.conversion")->dump(), crd.at("spec.conversion")->dump());
  EXPECT_EQ(applied(after, release_patch(ConfigurationKind::kConversion, after, "w", OnDelete::kRemoveWebhook)).at("spec.conversion")->dump(), R"({"strategy":"None"})");
}

TEST(Configuration, WhatWouldLockThePlaneOutIsRefused) {
  struct Row {
    const char *rules, *error;
  };
  const Row rows[] = {
      {"[{apiGroups: [gulfstream.dev], resources: [clusters]}]", "webhooks[0].rules[0]: names the group gulfstream.dev"},
      {"[{apiGroups: [apps], resources: [x]}, {apiGroups: [coordination.k8s.io], resources: [leases]}]", "webhooks[0].rules[1]: names leases"},
      {"[{apiGroups: [coordination.k8s.io], resources: ['*']}]", "webhooks[0].rules[0]: names leases"},
      {"[{apiGroups: ['*'], resources: ['*']}]", nullptr},
  };
  for (const Row& row : rows) {
    const Value configuration = yaml(std::string("metadata: {name: c}\nwebhooks:\n- {name: n, clientConfig: {url: 'https://x'}, rules: ") + row.rules + "}\n");
    const auto plan = plan_configuration(ConfigurationKind::kValidating, configuration, endpoint());
    EXPECT_EQ(plan.has_value(), row.error == nullptr);
    if (row.error == nullptr) continue;
    EXPECT_TRUE(plan.error().message.starts_with(row.error)) << plan.error().message;
  }
  const Value own = yaml("metadata: {name: c}\nspec: {group: gulfstream.dev, conversion: {strategy: Webhook}}\n");
  EXPECT_EQ(plan_configuration(ConfigurationKind::kConversion, own, endpoint()).error().code, Code::kForbidden);
  const Value none = yaml("metadata: {name: c}\nspec: {group: example.com, conversion: {strategy: None}}\n");
  EXPECT_EQ(plan_configuration(ConfigurationKind::kConversion, none, endpoint()).error().message, "spec.conversion.strategy: must be Webhook, which is its author's to say");
}

TEST(Configuration, OneConfigurationBelongsToOneWebhook) {
  const Value after = applied(two_entries(), plan_configuration(ConfigurationKind::kMutating, two_entries(), endpoint())->patch);
  Endpoint other = endpoint();
  other.webhook = "other";
  const auto plan = plan_configuration(ConfigurationKind::kMutating, after, other);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, Code::kConflict);
  EXPECT_TRUE(release_patch(ConfigurationKind::kMutating, after, "other", OnDelete::kRestore).is_null());
}

}  // namespace
}  // namespace gs::webhook
