#include "apiserver/authorization/policy_rule.h"

#include <gmock/gmock.h>

namespace gs::apiserver {
namespace {

PolicyRules rules(const std::string& json) { return rules_of(*json::parse(R"({"rules":[)" + json + "]}")); }

struct Asked {
  const char* method;
  const char* target;
  bool allowed;
};

TEST(PolicyRuleTest, AllowsWhatItNames) {
  const struct {
    const char* rule;
    std::vector<Asked> asked;
  } table[] = {
      {R"({"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]})",
       {{"GET", "/api/v1/namespaces/a/pods", true},
        {"GET", "/api/v1/pods/x", true},
        {"GET", "/api/v1/pods?watch=1", false},
        {"GET", "/api/v1/pods?watch=false", true},
        {"POST", "/api/v1/namespaces/a/pods", false},
        {"GET", "/api/v1/namespaces/a/pods/x/log", false},
        {"GET", "/apis/apps/v1/pods", false},
        {"GET", "/api/v1/namespaces/a/secrets", false}}},
      {R"({"verbs":["*"],"apiGroups":["*"],"resources":["*"]})",
       {{"DELETE", "/apis/example.com/v1/namespaces/a/things/x/status", true}, {"GET", "/healthz", false}}},
      {R"({"verbs":["update"],"apiGroups":["apps"],"resources":["*/scale"]})",
       {{"PUT", "/apis/apps/v1/namespaces/a/deployments/x/scale", true}, {"PUT", "/apis/apps/v1/namespaces/a/deployments/x", false}}},
      {R"({"verbs":["create"],"apiGroups":[""],"resources":["serviceaccounts/token"]})",
       {{"POST", "/api/v1/namespaces/a/serviceaccounts/x/token", true}, {"POST", "/api/v1/namespaces/a/serviceaccounts", false}}},
      {R"({"verbs":["get","list","watch","delete"],"apiGroups":[""],"resources":["configmaps"],"resourceNames":["x"]})",
       {{"GET", "/api/v1/namespaces/a/configmaps/x", true},
        {"GET", "/api/v1/namespaces/a/configmaps/y", false},
        {"GET", "/api/v1/namespaces/a/configmaps", false},
        {"GET", "/api/v1/namespaces/a/configmaps?fieldSelector=metadata.name%3Dx", true},
        {"GET", "/api/v1/namespaces/a/configmaps?watch=true&fieldSelector=metadata.name%3Dx", true},
        {"GET", "/api/v1/watch/namespaces/a/configmaps/x", true},
        {"DELETE", "/api/v1/namespaces/a/configmaps", false}}},
      {R"({"verbs":["deletecollection","patch"],"apiGroups":[""],"resources":["configmaps"]})",
       {{"DELETE", "/api/v1/namespaces/a/configmaps", true}, {"DELETE", "/api/v1/namespaces/a/configmaps/x", false}, {"PATCH", "/api/v1/namespaces/a/configmaps/x", true}}},
      {R"({"verbs":["get"],"apiGroups":[""],"resources":["namespaces","namespaces/status"]})",
       {{"GET", "/api/v1/namespaces/a", true}, {"GET", "/api/v1/namespaces/a/status", true}, {"GET", "/api/v1/namespaces", false}}},
      {R"({"verbs":["get"],"nonResourceURLs":["/healthz/*","/version"]})",
       {{"GET", "/healthz/ping", true}, {"GET", "/version", true}, {"GET", "/healthz", false}, {"POST", "/version", false}, {"GET", "/api/v1/pods", false}}},
      {R"({"verbs":["get"],"nonResourceURLs":["/api","/api/*"]})", {{"GET", "/api/v1", true}, {"GET", "/api?timeout=32s", true}, {"GET", "/api/v1/pods", false}}},
  };
  for (const auto& [rule, all] : table) {
    for (const Asked& asked : all) EXPECT_EQ(rules(rule).front().allows(attributes_of(asked.method, asked.target)), asked.allowed) << rule << "\n" << asked.method << " " << asked.target;
  }
}

TEST(PolicyRuleTest, CoversWhatItAllowsPartByPart) {
  const struct {
    const char* owned;
    const char* wanted;
    const char* missing;  // as messages have it; empty: nothing
  } table[] = {
      {R"({"verbs":["*"],"apiGroups":["*"],"resources":["*"]})", R"({"verbs":["get","escalate"],"apiGroups":["a","b"],"resources":["x","y/z"],"resourceNames":["n"]})", ""},
      {R"({"verbs":["get"],"apiGroups":[""],"resources":["pods"]})", R"({"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]})",
       R"({APIGroups:[""], Resources:["pods"], Verbs:["list"]})"},
      {R"({"verbs":["get"],"apiGroups":[""],"resources":["pods"]})", R"({"verbs":["list","watch"],"apiGroups":[""],"resources":["pods"]})",
       R"({APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]})"},
      {R"({"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a"]})", R"({"verbs":["get"],"apiGroups":[""],"resources":["pods"]})",
       R"({APIGroups:[""], Resources:["pods"], Verbs:["get"]})"},
      {R"({"verbs":["get"],"apiGroups":[""],"resources":["pods"]})", R"({"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a"]})", ""},
      {R"({"verbs":["get"],"apiGroups":[""],"resources":["*/status"]})", R"({"verbs":["get"],"apiGroups":[""],"resources":["pods/status"]})", ""},
      {R"({"verbs":["get"],"apiGroups":[""],"resources":["*/status"]})", R"({"verbs":["get"],"apiGroups":[""],"resources":["pods/status","pods"]})",
       R"({APIGroups:[""], Resources:["pods"], Verbs:["get"]})"},
      {R"({"verbs":["get"],"apiGroups":[""],"resources":["pods"]})", R"({"verbs":["*"],"apiGroups":[""],"resources":["pods"]})",
       R"({APIGroups:[""], Resources:["pods"], Verbs:["*"]})"},
      {R"({"verbs":["get"],"nonResourceURLs":["/a/*"]})", R"({"verbs":["get"],"nonResourceURLs":["/a/b","/a/b/*"]})", ""},
      {R"({"verbs":["get"],"nonResourceURLs":["/a/*"]})", R"({"verbs":["get"],"nonResourceURLs":["/a*"]})", R"({NonResourceURLs:["/a*"], Verbs:["get"]})"},
      {R"({"verbs":["*"],"apiGroups":["*"],"resources":["*"]})", R"({"verbs":["get"],"nonResourceURLs":["/a"]})", R"({NonResourceURLs:["/a"], Verbs:["get"]})"},
  };
  for (const auto& row : table) {
    const PolicyRules missing = compacted(uncovered(rules(row.owned), rules(row.wanted)));
    EXPECT_EQ(missing.empty() ? "" : missing.front().to_string(), row.missing) << row.owned << "\n" << row.wanted;
    EXPECT_LE(missing.size(), 1u);
  }
}

}  // namespace
}  // namespace gs::apiserver
