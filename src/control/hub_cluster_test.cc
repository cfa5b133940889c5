#include "control/hub_cluster.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace gs::control {
namespace {

constexpr const char* kGood = "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters: [{name: k, cluster: {server: 'https://h'}}]\nusers: [{name: u, user: {token: t}}]\n";

kube::ObjectRef object(const std::string& json) { return kube::Object::parse(json).value(); }
kube::ObjectRef cluster(const std::string& spec, const std::string& uid = "u1") {
  return object(fmt::format(R"({{"apiVersion":"gulfstream.dev/v1alpha1","kind":"Cluster","metadata":{{"name":"c","namespace":"blue","uid":"{}","labels":{{"env":"prod"}}}},"spec":{}}})", uid, spec));
}
SecretState secret(const std::string& key, const std::string& text) {
  SecretState out;
  out.object = object(fmt::format(R"({{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"s","namespace":"blue"}},"data":{{"{}":"{}"}}}})", key, base64_encode(text)));
  return out;
}
const std::string kNamed = R"({"connection":{"kubeconfig":{"secretRef":{"name":"s"}}}})";
const kube::KubeconfigPolicy kPolicy = kube::KubeconfigPolicy::untrusted();

TEST(HubClusterTest, ASecretsKubeconfigBecomesAnUntrustedCluster) {
  const auto spec = cluster_from_hub(*cluster(kNamed), secret("kubeconfig", kGood), kPolicy);
  EXPECT_EQ(spec.error, "");
  EXPECT_TRUE(spec.untrusted);
  EXPECT_EQ(spec.key(), "blue/c");
  EXPECT_EQ(spec.labels, R"({"env":"prod"})");
  EXPECT_EQ(spec.connection->token, "t");
}

TEST(HubClusterTest, KeysHaveDots) {
  const auto named = cluster(R"({"connection":{"kubeconfig":{"secretRef":{"name":"s","key":"value.yaml"}}}})");
  EXPECT_EQ(cluster_from_hub(*named, secret("value.yaml", kGood), kPolicy).error, "");
}

TEST(HubClusterTest, WhatIsMissingIsSaidWithItsField) {
  struct Case {
    std::string spec;
    SecretState secret;
    std::string reason;
    std::string message;
  };
  SecretState unreadable;
  unreadable.problem = "secrets is forbidden";
  const std::vector<Case> cases = {
      {"{}", {}, "Invalid", "spec.connection.kubeconfig.secretRef.name: is required: the Secret that holds the kubeconfig"},
      {R"({"connection":{"kubeconfig":{"file":"/etc/x"}}})", {}, "Invalid", "spec.connection.kubeconfig.secretRef.name: is required: the Secret that holds the kubeconfig"},
      {kNamed, {}, "SecretMissing", R"(spec.connection.kubeconfig.secretRef.name: Secret "s" is not in namespace "blue")"},
      {kNamed, unreadable, "SecretUnreadable", R"(spec.connection.kubeconfig.secretRef: Secret "s": secrets is forbidden)"},
      {kNamed, secret("other", kGood), "KeyMissing", R"(spec.connection.kubeconfig.secretRef.key: Secret "s" has no key "kubeconfig" in its data)"},
  };
  for (const Case& c : cases) {
    const auto spec = cluster_from_hub(*cluster(c.spec), c.secret, kPolicy);
    EXPECT_EQ(spec.error_reason, c.reason);
    EXPECT_EQ(spec.error, c.message);
  }
}

TEST(HubClusterTest, WhatAKubeconfigMayNotHaveIsRefusedWithThePathOfTheField) {
  std::string text = kGood;
  text.replace(text.find("token: t"), 8, "tokenFile: /etc/passwd");
  const auto spec = cluster_from_hub(*cluster(kNamed), secret("kubeconfig", text), kPolicy);
  EXPECT_EQ(spec.error_reason, "KubeconfigRefused");
  EXPECT_NE(spec.error.find("tokenFile"), std::string::npos) << spec.error;
  EXPECT_TRUE(spec.error.starts_with(R"(Secret "s", key "kubeconfig": )")) << spec.error;
}

TEST(HubClusterTest, AnotherKubeconfigOrAnotherUidIsAnotherConnection) {
  const auto first = cluster_from_hub(*cluster(kNamed), secret("kubeconfig", kGood), kPolicy);
  EXPECT_EQ(first.digest, cluster_from_hub(*cluster(kNamed), secret("kubeconfig", kGood), kPolicy).digest);
  EXPECT_NE(first.digest, cluster_from_hub(*cluster(kNamed, "u2"), secret("kubeconfig", kGood), kPolicy).digest);
  EXPECT_NE(first.digest, cluster_from_hub(*cluster(kNamed), secret("kubeconfig", std::string(kGood) + "\n"), kPolicy).digest);
}

TEST(HubClusterTest, APausedClusterNeedsNoSecret) {
  const auto spec = cluster_from_hub(*cluster(R"({"paused":true,"connection":{"kubeconfig":{"secretRef":{"name":"s"}}}})"), {}, kPolicy);
  EXPECT_TRUE(spec.paused);
  EXPECT_EQ(spec.error, "");
}

}  // namespace
}  // namespace gs::control
