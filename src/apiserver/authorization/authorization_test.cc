// What users may do in a server with RBAC, asked without HTTP.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "apiserver/api_server.h"
#include "runtime/sim_loop.h"

namespace gs::apiserver {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

const std::string kRbac = "/apis/rbac.authorization.k8s.io/v1";
const std::string kMaps = "/api/v1/namespaces/default/configmaps";

UserInfo user(const std::string& name, std::vector<std::string> groups = {}) {
  UserInfo out;
  out.name = name;
  out.groups = std::move(groups);
  out.ensure_group(kAuthenticated);
  return out;
}

class AuthorizationTest : public testing::Test {
 protected:
  static ApiServerOptions options(std::vector<AuthorizationMode> modes) {
    ApiServerOptions out;
    out.authorization = std::move(modes);
    return out;
  }
  int may(const UserInfo& who, const std::string& method, const std::string& target, const std::string& body = {}, const std::string& type = "application/json") {
    last = server.request_as(who, method, target, body, type);
    const auto parsed = json::parse(last.body);
    object = parsed ? *parsed : json::Value();
    return last.status;
  }
  std::string message() { return std::string(object.text("message")); }
  void make(const std::string& path, const std::string& body) {
    const Answer answer = server.request("POST", path, body);
    ASSERT_EQ(answer.status, 201) << answer.body;
  }
  void cluster_role(const std::string& name, const std::string& rules) { make(kRbac + "/clusterroles", fmt::format(R"({{"metadata":{{"name":"{}"}},"rules":[{}]}})", name, rules)); }
  static std::string binding(const std::string& name, const std::string& kind, const std::string& role, const std::string& subject) {
    return fmt::format(R"({{"metadata":{{"name":"{}"}},"roleRef":{{"apiGroup":"rbac.authorization.k8s.io","kind":"{}","name":"{}"}},"subjects":[{}]}})", name, kind, role, subject);
  }
  static std::string named(const std::string& kind, const std::string& name) { return fmt::format(R"({{"kind":"{}","apiGroup":"rbac.authorization.k8s.io","name":"{}"}})", kind, name); }
  SimWorld world{1};
  ApiServer server{world.add_loop(), options({AuthorizationMode::kRbac})};
  Answer last;
  json::Value object;
};

TEST_F(AuthorizationTest, RefusesInKubernetesWords) {
  const UserInfo bob = user("bob");
  const std::tuple<const char*, std::string, const char*> table[] = {
      {"GET", "/api/v1/namespaces/y/pods", R"(pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "y")"},
      {"GET", "/api/v1/pods?watch=true", R"(pods is forbidden: User "bob" cannot watch resource "pods" in API group "" at the cluster scope)"},
      {"DELETE", kMaps, R"(configmaps is forbidden: User "bob" cannot deletecollection resource "configmaps" in API group "" in the namespace "default")"},
      {"PUT", "/apis/apps/v1/namespaces/y/deployments/d/scale",
       R"(deployments.apps "d" is forbidden: User "bob" cannot update resource "deployments/scale" in API group "apps" in the namespace "y")"},
      {"GET", "/apis/none.example.com/v1/things/x", R"(things.none.example.com "x" is forbidden: User "bob" cannot get resource "things" in API group "none.example.com" at the cluster scope)"},
      {"GET", "/metrics", R"(forbidden: User "bob" cannot get path "/metrics")"},
  };
  for (const auto& [method, target, words] : table) {
    EXPECT_EQ(may(bob, method, target), 403) << target;
    EXPECT_EQ(message(), words);
    EXPECT_EQ(object.text("reason"), "Forbidden");
  }
  may(user("<b>&"), "GET", "/api/v1/nodes/n");
  EXPECT_THAT(message(), HasSubstr(R"(User "&lt;b&gt;&amp;" cannot get)"));
  EXPECT_EQ(object.find("details")->dump(), R"({"name":"n","kind":"nodes"})");
}

TEST_F(AuthorizationTest, MastersMayEverythingAndTheServerItselfToo) {
  EXPECT_EQ(may(user("admin", {kMasters}), "POST", kMaps, R"({"metadata":{"name":"a"}})"), 201);
  EXPECT_EQ(server.request("GET", kMaps + "/a").status, 200);
}

TEST_F(AuthorizationTest, BindingsCountFromTheirWriteToTheirDeletion) {
  const UserInfo bob = user("bob"), ann = user("ann", {"ops"});
  make(kRbac + "/namespaces/default/roles", R"({"metadata":{"name":"reader"},"rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["configmaps"]}]})");
  make(kRbac + "/namespaces/default/rolebindings", binding("b", "Role", "reader", named("User", "bob")));
  EXPECT_EQ(may(bob, "GET", kMaps), 200);
  EXPECT_EQ(may(bob, "GET", "/api/v1/namespaces/kube-system/configmaps"), 403);
  EXPECT_EQ(may(ann, "GET", kMaps), 403);
  const std::string groups = R"([{"op":"add","path":"/subjects/-","value":)" + named("Group", "ops") + "}]";
  EXPECT_EQ(server.request("PATCH", kRbac + "/namespaces/default/rolebindings/b", groups, "application/json-patch+json").status, 200);
  EXPECT_EQ(may(ann, "GET", kMaps), 200);
  EXPECT_EQ(server.request("PATCH", kRbac + "/namespaces/default/roles/reader", R"({"rules":[]})", "application/merge-patch+json").status, 200);
  EXPECT_EQ(may(ann, "GET", kMaps), 403);
  EXPECT_EQ(server.request("PATCH", kRbac + "/namespaces/default/roles/reader", R"({"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]})", "application/merge-patch+json").status, 200);
  EXPECT_EQ(may(ann, "GET", kMaps), 200);
  server.request("DELETE", kRbac + "/namespaces/default/roles/reader");
  EXPECT_EQ(may(ann, "GET", kMaps), 403);
  EXPECT_THAT(message(), HasSubstr(R"(in the namespace "default": RBAC: role.rbac.authorization.k8s.io "reader" not found)"));
  server.request("DELETE", kRbac + "/namespaces/default/rolebindings/b");
  EXPECT_EQ(may(bob, "GET", kMaps), 403);
  EXPECT_THAT(message(), testing::Not(HasSubstr("RBAC")));
}

TEST_F(AuthorizationTest, AServiceAccountIsOfTheBindingsNamespaceUnlessItSaysAnother) {
  cluster_role("all", R"({"verbs":["*"],"apiGroups":["*"],"resources":["*"]})");
  make(kRbac + "/namespaces/default/rolebindings", binding("own", "ClusterRole", "all", R"({"kind":"ServiceAccount","name":"a"})"));
  make(kRbac + "/namespaces/default/rolebindings", binding("other", "ClusterRole", "all", R"({"kind":"ServiceAccount","name":"b","namespace":"kube-system"})"));
  EXPECT_EQ(may(user("system:serviceaccount:default:a"), "GET", kMaps), 200);
  EXPECT_EQ(may(user("system:serviceaccount:kube-system:a"), "GET", kMaps), 403);
  EXPECT_EQ(may(user("system:serviceaccount:kube-system:b"), "GET", kMaps), 200);
  EXPECT_EQ(may(user("system:serviceaccount:default:b"), "GET", kMaps), 403);
}

TEST_F(AuthorizationTest, WhatKubernetesMakesIsThere) {
  const UserInfo bob = user("bob");
  UserInfo nobody;
  nobody.name = "system:anonymous";
  nobody.groups = {kUnauthenticated};
  EXPECT_EQ(may(bob, "GET", "/apis"), 404) << "allowed; documents need HTTP";
  EXPECT_EQ(may(nobody, "GET", "/apis"), 403);
  EXPECT_NE(may(nobody, "GET", "/readyz"), 403);
  EXPECT_EQ(may(bob, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", R"({"spec":{"nonResourceAttributes":{"path":"/","verb":"get"}}})"), 201);
  make(kRbac + "/clusterrolebindings", binding("edit", "ClusterRole", "edit", named("User", "bob")));
  EXPECT_EQ(may(bob, "POST", kMaps, R"({"metadata":{"name":"a"}})"), 201) << "edit has what it aggregates";
  EXPECT_EQ(may(bob, "GET", kRbac + "/clusterroles/admin"), 403);
  make(kRbac + "/clusterrolebindings", binding("all", "ClusterRole", "cluster-admin", named("User", "bob")));
  EXPECT_EQ(may(bob, "GET", kRbac + "/clusterroles/admin"), 200);
}

TEST_F(AuthorizationTest, AggregatedRolesFollowWhatTheySelect) {
  make(kRbac + "/clusterroles", R"({"metadata":{"name":"all"},"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"x":"y"}}]}})");
  make(kRbac + "/clusterrolebindings", binding("all", "ClusterRole", "all", named("User", "bob")));
  EXPECT_EQ(may(user("bob"), "GET", kMaps), 403);
  make(kRbac + "/clusterroles", R"({"metadata":{"name":"part","labels":{"x":"y"}},"rules":[{"verbs":["list"],"apiGroups":[""],"resources":["configmaps"]}]})");
  world.run_for(1s);
  EXPECT_EQ(may(user("bob"), "GET", kMaps), 200);
  server.request("DELETE", kRbac + "/clusterroles/part");
  world.run_for(1s);
  EXPECT_EQ(may(user("bob"), "GET", kMaps), 403);
}

TEST_F(AuthorizationTest, NobodyGrantsWhatTheyDoNotHave) {
  const UserInfo bob = user("bob");
  cluster_role("manager", R"({"verbs":["*"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles","clusterroles","rolebindings","clusterrolebindings"]})"
                          R"(,{"verbs":["get"],"apiGroups":[""],"resources":["configmaps"]})");
  // Everything but what makes an escalation allowed.
  server.request("PATCH", kRbac + "/clusterroles/manager", R"([{"op":"replace","path":"/rules/0/verbs","value":["get","create","update","patch"]}])", "application/json-patch+json");
  make(kRbac + "/clusterrolebindings", binding("m", "ClusterRole", "manager", named("User", "bob")));
  const std::string roles = kRbac + "/namespaces/default/roles";
  EXPECT_EQ(may(bob, "POST", roles, R"({"metadata":{"name":"r"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["configmaps"]}]})"), 201);
  EXPECT_EQ(may(bob, "POST", roles, R"({"metadata":{"name":"s"},"rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["secrets"]}]})"), 403);
  EXPECT_EQ(message(), "roles.rbac.authorization.k8s.io \"s\" is forbidden: user \"bob\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n"
                       "{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}");
  EXPECT_EQ(may(bob, "PATCH", roles + "/r", R"({"rules":[{"verbs":["*"],"apiGroups":[""],"resources":["configmaps"]}]})", "application/merge-patch+json"), 403);
  EXPECT_EQ(may(bob, "PATCH", roles + "/r", R"({"metadata":{"finalizers":["a.b/c"]}})", "application/merge-patch+json"), 200);
  EXPECT_EQ(may(bob, "POST", kRbac + "/clusterroles", R"({"metadata":{"name":"g"},"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"x":"y"}}]}})"), 403);
  EXPECT_THAT(message(), HasSubstr("must have cluster-admin privileges to use the aggregationRule"));
  EXPECT_EQ(may(bob, "POST", kRbac + "/clusterrolebindings", binding("x", "ClusterRole", "cluster-admin", named("User", "bob"))), 403);
  EXPECT_THAT(message(), StartsWith(R"(clusterrolebindings.rbac.authorization.k8s.io "x" is forbidden: user "bob")"));
  EXPECT_EQ(may(bob, "POST", kRbac + "/namespaces/default/rolebindings", binding("x", "ClusterRole", "none", named("User", "bob"))), 404);
  EXPECT_EQ(may(bob, "POST", kRbac + "/namespaces/default/rolebindings", binding("x", "Role", "r", named("User", "ann"))), 201);
}

TEST_F(AuthorizationTest, EscalateAndBindAreVerbsOfTheirOwn) {
  const UserInfo bob = user("bob");
  cluster_role("manager", R"({"verbs":["create","escalate"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles"]})"
                          R"(,{"verbs":["create"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["rolebindings"]})"
                          R"(,{"verbs":["bind"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["clusterroles"],"resourceNames":["view"]})");
  make(kRbac + "/clusterrolebindings", binding("m", "ClusterRole", "manager", named("User", "bob")));
  EXPECT_EQ(may(bob, "POST", kRbac + "/namespaces/default/roles", R"({"metadata":{"name":"s"},"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]})"), 201);
  EXPECT_EQ(may(bob, "POST", kRbac + "/namespaces/default/rolebindings", binding("v", "ClusterRole", "view", named("User", "bob"))), 201);
  EXPECT_EQ(may(bob, "POST", kRbac + "/namespaces/default/rolebindings", binding("e", "ClusterRole", "edit", named("User", "bob"))), 403);
}

TEST_F(AuthorizationTest, AnUpdateThatCreatesNeedsTheRightToCreate) {
  cluster_role("up", R"({"verbs":["update"],"apiGroups":["coordination.k8s.io"],"resources":["leases"]})");
  make(kRbac + "/clusterrolebindings", binding("u", "ClusterRole", "up", named("User", "bob")));
  const std::string lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
  EXPECT_EQ(may(user("bob"), "PUT", lease, R"({"metadata":{"name":"l"}})"), 403);
  EXPECT_EQ(message(), R"(leases.coordination.k8s.io "l" is forbidden: User "bob" cannot create resource "leases" in API group "coordination.k8s.io" in the namespace "default")");
  make("/apis/coordination.k8s.io/v1/namespaces/default/leases", R"({"metadata":{"name":"l"}})");
  const Answer there = server.request("GET", lease);
  EXPECT_EQ(may(user("bob"), "PUT", lease, there.body), 200);
}

TEST_F(AuthorizationTest, ReviewsTellTheTruth) {
  make(kRbac + "/namespaces/default/rolebindings", binding("v", "ClusterRole", "view", named("User", "bob")));
  const std::string self = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", others = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
  may(user("bob"), "POST", self, R"({"spec":{"resourceAttributes":{"verb":"list","resource":"configmaps","namespace":"default"}}})");
  EXPECT_EQ(object.find("status")->dump(), R"j({"allowed":true,"reason":"RBAC: allowed by RoleBinding \"v/default\" of ClusterRole \"view\" to User \"bob\""})j");
  may(user("bob"), "POST", self, R"({"spec":{"resourceAttributes":{"verb":"list","resource":"secrets","namespace":"default"}}})");
  EXPECT_EQ(object.find("status")->dump(), R"({"allowed":false})");
  EXPECT_EQ(may(user("bob"), "POST", others, R"({"spec":{"user":"x","resourceAttributes":{"verb":"get"}}})"), 403);
  const UserInfo admin = user("admin", {kMasters});
  may(admin, "POST", others, R"({"spec":{"user":"x","groups":["system:masters"],"nonResourceAttributes":{"verb":"get","path":"/"}}})");
  EXPECT_EQ(object.find("status")->dump(), R"({"allowed":true})");
  may(admin, "POST", others, R"({"spec":{"nonResourceAttributes":{"verb":"get","path":"/"}}})");
  EXPECT_THAT(message(), HasSubstr(R"(spec.user: Invalid value: "": at least one of user or group must be specified)"));
  may(user("bob"), "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", R"({"spec":{"namespace":"default"}})");
  EXPECT_THAT(object.find("status")->dump(), HasSubstr(R"({"verbs":["get","list","watch"],"apiGroups":[""],"resources":["configmaps",)"));
  EXPECT_EQ(may(user("bob"), "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", R"({"spec":{}})"), 400);
}

TEST_F(AuthorizationTest, ModesAreAskedInTheirOrder) {
  ApiServer denying{world.add_loop(), options({AuthorizationMode::kAlwaysDeny})};
  const Answer denied = denying.request_as(user("bob"), "GET", "/api");
  EXPECT_EQ(denied.status, 403);
  EXPECT_THAT(denied.body, HasSubstr(R"(cannot get path \"/api\": Everything is forbidden.)"));
  EXPECT_EQ(denying.request_as(user("admin", {kMasters}), "GET", kMaps).status, 200);
  ApiServer both{world.add_loop(), options({AuthorizationMode::kAlwaysDeny, AuthorizationMode::kAlwaysAllow})};
  EXPECT_EQ(both.request_as(user("bob"), "GET", kMaps).status, 200);
}

TEST(AuthorizationModesTest, AreKubernetesWords) {
  EXPECT_EQ(parse_authorization_modes("AlwaysDeny,RBAC"), (std::vector{AuthorizationMode::kAlwaysDeny, AuthorizationMode::kRbac}));
  EXPECT_EQ(parse_authorization_modes("rbac").error().message, "authorization-mode \"rbac\" is not a valid mode");
  EXPECT_EQ(parse_authorization_modes("").error().message, "authorization-mode \"\" is not a valid mode");
  EXPECT_EQ(parse_authorization_modes("Node,RBAC").error().message, "authorization-mode \"Node\" is not served; AlwaysAllow, AlwaysDeny and RBAC are");
  EXPECT_EQ(parse_authorization_modes("RBAC,RBAC").error().message, "authorization-mode \"RBAC,RBAC\" has mode specified more than once");
}

}  // namespace
}  // namespace gs::apiserver
