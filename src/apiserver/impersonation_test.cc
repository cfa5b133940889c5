#include "apiserver/impersonation.h"

#include <gmock/gmock.h>

#include "apiserver/api_server.h"
#include "runtime/sim_loop.h"

namespace gs::apiserver {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Headers = std::vector<std::pair<std::string, std::string>>;

net::HttpRequest asking(const Headers& headers) {
  net::HttpRequest out("GET", "/api/v1/namespaces/default/pods");
  for (const auto& [name, value] : headers) out.headers.emplace_back(name, value);
  return out;
}

UserInfo bob() {
  UserInfo out;
  out.name = "bob";
  out.groups = {kAuthenticated};
  return out;
}

class ImpersonationTest : public testing::Test {
 protected:
  ImpersonationTest() : rbac(table, store, registry), authorizer({AuthorizationMode::kRbac}, rbac) {}
  void may(const std::string& rules) {
    make("clusterroles", R"({"metadata":{"name":"r"},"rules":[)" + rules + "]}");
    make("clusterrolebindings", R"({"metadata":{"name":"r"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"r"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"bob"}]})");
  }
  void make(const std::string& resource, const std::string& body) {
    const ResourceTypePtr type = table.find("rbac.authorization.k8s.io", resource);
    RestRequest request;
    request.verb = gateway::Verb::kCreate;
    ASSERT_EQ(registry.create(*type, request, body).status, 201);
  }
  SimWorld world{1};
  Loop& loop = world.add_loop();
  ResourceTable table;
  Store store{loop};
  Registry registry{loop, table, store};
  Rbac rbac;
  Authorizer authorizer;
};

TEST_F(ImpersonationTest, WithoutHeadersOneIsOneself) {
  EXPECT_EQ(impersonate(asking({}), bob(), &authorizer)->name, "bob");
  EXPECT_EQ(impersonate(asking({{"impersonate-user", ""}}), bob(), &authorizer)->name, "bob");
}

TEST_F(ImpersonationTest, WhereEverybodyMayEverythingItOnlySaysWho) {
  const auto ann = impersonate(asking({{"impersonate-user", "ann"}, {"impersonate-group", "ops"}, {"impersonate-uid", "u"}, {"impersonate-extra-a%2fb", "1"}}), bob(), nullptr);
  ASSERT_TRUE(ann);
  EXPECT_EQ(ann->name, "ann");
  EXPECT_EQ(ann->uid, "u");
  EXPECT_THAT(ann->groups, ElementsAre("ops", "system:authenticated"));
  EXPECT_THAT(ann->extra.at("a/b"), ElementsAre("1"));
  const auto account = impersonate(asking({{"impersonate-user", "system:serviceaccount:ns:sa"}}), bob(), nullptr);
  EXPECT_THAT(account->groups, ElementsAre("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"));
  EXPECT_THAT(impersonate(asking({{"impersonate-user", "system:anonymous"}}), bob(), nullptr)->groups, ElementsAre("system:unauthenticated"));
  const auto nobody = impersonate(asking({{"impersonate-group", "ops"}}), bob(), nullptr);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().status, 400);
}

TEST_F(ImpersonationTest, IsRefusedInTheWordsOfTheNarrowestWay) {
  const auto refused = impersonate(asking({{"impersonate-user", "ann"}}), bob(), &authorizer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 403);
  EXPECT_THAT(refused.error().body, HasSubstr(R"(User \"bob\" cannot impersonate-on:user-info:list resource \"pods\" in API group \"\" in the namespace \"default\")"));
  EXPECT_THAT(impersonate(asking({{"impersonate-user", "system:serviceaccount:a:b"}}), bob(), &authorizer).error().body, HasSubstr("impersonate-on:serviceaccount:list"));
  const auto mixed = impersonate(asking({{"impersonate-user", "system:serviceaccount:a:b"}, {"impersonate-group", "x"}}), bob(), &authorizer);
  EXPECT_THAT(mixed.error().body, HasSubstr(R"(serviceaccounts \"b\" is forbidden: User \"bob\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"a\")"));
}

TEST_F(ImpersonationTest, ThePlainVerbIsAskedOfEachPart) {
  may(R"({"verbs":["impersonate"],"apiGroups":[""],"resources":["users"],"resourceNames":["ann"]},{"verbs":["impersonate"],"apiGroups":["authentication.k8s.io"],"resources":["userextras/scopes"]})");
  EXPECT_TRUE(impersonate(asking({{"impersonate-user", "ann"}}), bob(), &authorizer));
  EXPECT_TRUE(impersonate(asking({{"impersonate-user", "ann"}, {"impersonate-extra-scopes", "s"}}), bob(), &authorizer));
  EXPECT_FALSE(impersonate(asking({{"impersonate-user", "ann"}, {"impersonate-extra-other", "s"}}), bob(), &authorizer));
  EXPECT_FALSE(impersonate(asking({{"impersonate-user", "ann"}, {"impersonate-group", "ops"}}), bob(), &authorizer));
  EXPECT_FALSE(impersonate(asking({{"impersonate-user", "eve"}}), bob(), &authorizer));
}

TEST_F(ImpersonationTest, AConstrainedWayIsForCertainRequestsAndNeverMasters) {
  may(R"({"verbs":["impersonate:user-info"],"apiGroups":["authentication.k8s.io"],"resources":["users","groups"]},{"verbs":["impersonate-on:user-info:list"],"apiGroups":[""],"resources":["pods"]})");
  EXPECT_TRUE(impersonate(asking({{"impersonate-user", "ann"}, {"impersonate-group", "ops"}}), bob(), &authorizer));
  net::HttpRequest other = asking({{"impersonate-user", "ann"}});
  other.method = "POST";
  EXPECT_FALSE(impersonate(other, bob(), &authorizer));
  const auto masters = impersonate(asking({{"impersonate-user", "ann"}, {"impersonate-group", kMasters}}), bob(), &authorizer);
  ASSERT_FALSE(masters);
  EXPECT_THAT(masters.error().body, HasSubstr("impersonating the system:masters group is not allowed"));
}

}  // namespace
}  // namespace gs::apiserver
