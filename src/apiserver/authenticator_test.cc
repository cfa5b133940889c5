#include "apiserver/authenticator.h"

#include <gmock/gmock.h>

namespace gs::apiserver {
namespace {

using testing::ElementsAre;

net::HttpRequest asking(const std::string& path, const std::string& authorization = "") {
  net::HttpRequest out("GET", path);
  if (!authorization.empty()) out.headers.emplace_back("authorization", authorization);
  return out;
}

TEST(AuthenticatorTest, ReadsKubernetesCsvOfTokensWithQuotedGroups) {
  Authenticator who;
  ASSERT_TRUE(who.add_token_file("secret-1,alice,uid-1,\"dev,ops\"\r\n\nsecret-2,\"Bob \"\"B\"\"\",uid-2\n"));
  const auto alice = who.authenticate(asking("/api", "Bearer secret-1"), {});
  ASSERT_TRUE(alice);
  EXPECT_EQ(alice->name, "alice");
  EXPECT_EQ(alice->uid, "uid-1");
  EXPECT_THAT(alice->groups, ElementsAre("dev", "ops", "system:authenticated"));
  const auto bob = who.authenticate(asking("/api", "bearer  secret-2"), {});
  ASSERT_TRUE(bob);
  EXPECT_EQ(bob->name, "Bob \"B\"");
}

TEST(AuthenticatorTest, SaysWhichLineOfATokenFileIsWrong) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"a,b,c\nd,e\n", "line 2: must have at least 3 columns (token, user name, user uid), found 2"},
      {"\"a,b,c\n", "line 1: a quote is out of place"},
      {"a\"b,c,d\n", "line 1: a quote is out of place"},
      {",b,c\n", "line 1: the token is empty"},
      {"a,,c\n", "line 1: the user name is empty"},
  };
  for (const auto& [csv, words] : table) {
    Authenticator who;
    const Status read = who.add_token_file(csv);
    ASSERT_FALSE(read) << csv;
    EXPECT_EQ(read.error().message, words);
  }
}

TEST(AuthenticatorTest, TakesAVerifiedCertificateBeforeAToken) {
  Authenticator who;
  ASSERT_TRUE(who.add_token_file("t,alice,1"));
  const auto admin = who.authenticate(asking("/api", "Bearer wrong"), {"admin", "system:masters"});
  ASSERT_TRUE(admin);
  EXPECT_EQ(admin->name, "admin");
  EXPECT_THAT(admin->groups, ElementsAre("system:masters", "system:authenticated"));
}

TEST(AuthenticatorTest, LetsNobodyInButToProbesAndTheVersion) {
  const Authenticator who;
  for (const char* path : {"/healthz", "/readyz?verbose", "/livez/ping", "/version"}) {
    const auto anybody = who.authenticate(asking(path), {});
    ASSERT_TRUE(anybody) << path;
    EXPECT_TRUE(anybody->anonymous());
  }
  for (const char* path : {"/", "/api", "/metrics", "/versions", "/healthzz", "/api/v1/namespaces?x=/healthz"}) {
    const auto nobody = who.authenticate(asking(path), {});
    ASSERT_FALSE(nobody) << path;
    EXPECT_EQ(nobody.error().status, 401);
  }
}

TEST(AuthenticatorTest, RefusesWhatItDoesNotKnowEvenWhereAnybodyMayCome) {
  const Authenticator who;
  for (const char* header : {"Bearer unknown", "Basic YTpi", "Bearer"}) {
    const auto nobody = who.authenticate(asking("/version", header), {});
    ASSERT_FALSE(nobody) << header;
    EXPECT_EQ(nobody.error().status, 401);
  }
}

TEST(AuthenticatorTest, RefusesACertificateThatDoesNotVerifyUnlessThereIsAToken) {
  Authenticator who;
  ASSERT_TRUE(who.add_token_file("t,alice,1"));
  const auto refused = who.authenticate(asking("/version"), {""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 401);
  const auto alice = who.authenticate(asking("/api", "Bearer t"), {""});
  ASSERT_TRUE(alice);
  EXPECT_EQ(alice->name, "alice");
}

TEST(AuthenticatorTest, LetsAnybodyAskWhereAnAuthorizerJudges) {
  Authenticator who;
  who.let_anybody_ask();
  const auto anybody = who.authenticate(asking("/api"), {});
  ASSERT_TRUE(anybody);
  EXPECT_EQ(anybody->name, "system:anonymous");
  EXPECT_THAT(anybody->groups, ElementsAre("system:unauthenticated"));
  EXPECT_FALSE(who.authenticate(asking("/api", "Bearer unknown"), {}));
}

}  // namespace
}  // namespace gs::apiserver
