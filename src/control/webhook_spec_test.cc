#include "control/webhook_spec.h"

#include "json/yaml.h"

namespace gs::control {
namespace {

Result<WebhookSpec> parse(const std::string& spec, const std::string& metadata = "") {
  const auto documents = json::parse_yaml("metadata: {name: w, uid: u, generation: 3" + metadata + "}\nspec:\n" + spec);
  EXPECT_TRUE(documents) << documents.error().message;
  return parse_webhook((*documents)[0]);
}

const std::string kRef = "  ref: {apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, name: c}\n";
const std::string kCrdRef = "  ref: {apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, name: x.example.com}\n";
const std::string kDelegate = "  delegate: https://d.example:8443\n";

TEST(WebhookSpec, ReadsEveryField) {
  const auto w = parse(R"(
  ref: {apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, selector: {matchLabels: {b: c, a: b}}, namespace: ignored}
  delegate: https://d.example:8443
  authorized: [{group: "", resources: [secrets], verbs: [get], allowCrossNamespace: true}]
  configs: [{name: config-x, namespace: s}, {name: hub-x, source: Hub}]
  clusterSelector: {namespaces: [a]}
  sessionIsolation: Shared
  enforcement: Warn
  onFailure: AllowWithWarning
  timeoutSeconds: 5
  maxConcurrent: 7
)", ", deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [x, gulfstream.dev/webhook], annotations: {gulfstream.dev/on-delete: RemoveWebhook}");
  ASSERT_TRUE(w) << w.error().message;
  EXPECT_EQ(w->ref.kind, webhook::ConfigurationKind::kMutating);
  EXPECT_EQ(w->ref.label_selector, "a=b,b=c");
  EXPECT_TRUE(w->deleting && w->finalizer && w->shared_sessions);
  EXPECT_EQ(w->on_delete, webhook::OnDelete::kRemoveWebhook);
  EXPECT_FALSE(w->review);
  EXPECT_EQ(w->timeout_seconds, 5);
  EXPECT_EQ(w->max_concurrent, 7u);
  const gateway::Rules rules = webhook_rules_of(*w, {"configmaps", ""});
  EXPECT_EQ(rules.authorized.size(), 1u);
  EXPECT_EQ(rules.configs.size(), 1u) << "a hub's config grants nothing in the cluster";
  EXPECT_TRUE(rules.primary.resource.empty());
}

TEST(WebhookSpec, TheManifestOfTheOriginalNeedsNothingMore) {
  const auto w = parse(kRef + kDelegate);
  ASSERT_TRUE(w) << w.error().message;
  EXPECT_EQ(w->enforcement, webhook::Enforcement::kEnforce);
  EXPECT_EQ(w->on_failure, webhook::OnFailure::kRefuse);
  EXPECT_EQ(w->max_concurrent, 100u);
  EXPECT_FALSE(w->timeout_seconds || w->deleting || w->finalizer);
}

TEST(WebhookSpec, ErrorsNameTheField) {
  struct Row {
    std::string spec, error;
  };
  const Row rows[] = {
      {kDelegate, "spec.ref: is required"},
      {kRef, "spec.delegate: is required"},
      {kRef + "  delegate: ftp://x\n", "spec.delegate: "},
      {"  ref: {apiVersion: v1, kind: Pod, name: x}\n" + kDelegate, "spec.ref.kind: \"Pod\" is not MutatingWebhookConfiguration,"},
      {"  ref: {apiVersion: admissionregistration.k8s.io/v1beta1, kind: MutatingWebhookConfiguration, name: x}\n" + kDelegate, "spec.ref.apiVersion: \"admissionregistration.k8s.io/v1beta1\" is not"},
      {"  ref: {apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration}\n" + kDelegate, "spec.ref: needs name or selector"},
      {"  ref: {apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, selector: {}}\n" + kDelegate, "spec.ref.selector: must select by something"},
      {kRef + kDelegate + "  enforcement: Perhaps\n", "spec.enforcement: \"Perhaps\" is not one of Enforce, Warn, Audit"},
      {kRef + kDelegate + "  timeoutSeconds: 31\n", "spec.timeoutSeconds: must be a whole number from 1 to 30"},
      {kRef + kDelegate + "  maxConcurrent: 0\n", "spec.maxConcurrent: must be a whole number from 1 to 10000"},
      {kCrdRef + kDelegate + "  timeoutSeconds: 3\n", "spec.timeoutSeconds: is for admission"},
      {kCrdRef + kDelegate + "  enforcement: Warn\n", "spec.enforcement: is for admission"},
      {kRef + kDelegate + "  protocol: Review\n  authorized: [{resources: [pods]}]\n", "spec.authorized: goes with protocol Session"},
  };
  for (const Row& row : rows) {
    const auto w = parse(row.spec);
    ASSERT_FALSE(w) << row.error;
    EXPECT_TRUE(w.error().message.starts_with(row.error)) << w.error().message;
  }
  const auto asked = parse(kRef + kDelegate, ", annotations: {gulfstream.dev/on-delete: Perhaps}");
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().message, "metadata.annotations[gulfstream.dev/on-delete]: \"Perhaps\" is not Restore or RemoveWebhook");
}

TEST(WebhookSpec, TheNamespaceOfADelegateIsThatOfTheServiceItsUrlNames) {
  EXPECT_EQ(namespace_of_service("web.policy.svc"), "policy");
  EXPECT_EQ(namespace_of_service("web.policy.svc.cluster.local"), "policy");
  EXPECT_EQ(namespace_of_service("Web.Policy.SVC.cluster.local."), "policy");
  EXPECT_EQ(namespace_of_service("web-0.web.policy.svc"), "policy");
  for (const char* none : {"", "localhost", "127.0.0.1", "web.policy", "svc", ".svc", "policy.svc", ".policy.svc", "web.policy.svc.example.com", "d.example", "web.policy.notsvc"}) {
    EXPECT_EQ(namespace_of_service(none), "") << none;
  }
}

}  // namespace
}  // namespace gs::control
