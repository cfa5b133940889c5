#include "apiserver/reviews.h"

#include <gmock/gmock.h>

namespace gs::apiserver {
namespace {

using testing::HasSubstr;

UserInfo alice() {
  UserInfo out;
  out.name = "alice";
  out.uid = "u1";
  out.groups = {"dev", "system:authenticated"};
  return out;
}

ResourceType kind(const char* group, const char* name) { return ResourceType(group, "v1", "reviews", name, std::string_view(name).starts_with("Local")); }

json::Value reviewed(const ResourceType& type, const char* object, const Authenticator* authenticator = nullptr) {
  const UserInfo user = alice();
  const Answer answer = review(type, *json::parse(object), ReviewContext{user, authenticator, nullptr, "default"}, WallTime());
  EXPECT_EQ(answer.status, 201) << answer.body;
  return *json::parse(answer.body);
}

TEST(ReviewsTest, SayWhoAsks) {
  const json::Value out = reviewed(kind("authentication.k8s.io", "SelfSubjectReview"), "{}");
  EXPECT_EQ(out.text("apiVersion"), "authentication.k8s.io/v1");
  EXPECT_EQ(out.text("status.userInfo.username"), "alice");
  EXPECT_EQ(out.at("status.userInfo.groups")->dump(), R"(["dev","system:authenticated"])");
}

TEST(ReviewsTest, AllowEverythingAndKeepWhatWasAsked) {
  for (const char* name : {"SelfSubjectAccessReview", "SubjectAccessReview", "LocalSubjectAccessReview"}) {
    const json::Value out = reviewed(kind("authorization.k8s.io", name), R"({"spec":{"user":"bob","resourceAttributes":{"verb":"delete","namespace":"default"}}})");
    EXPECT_EQ(out.at("status.allowed")->dump(), "true") << name;
    EXPECT_EQ(out.text("spec.resourceAttributes.verb"), "delete");
  }
  const json::Value rules = reviewed(kind("authorization.k8s.io", "SelfSubjectRulesReview"), R"({"spec":{"namespace":"default"}})");
  EXPECT_EQ(rules.at("status.resourceRules")->dump(), R"([{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}])");
}

TEST(ReviewsTest, KnowTheTokensOfTheTokenFile) {
  Authenticator who;
  ASSERT_TRUE(who.add_token_file("t,bob,2"));
  const ResourceType type = kind("authentication.k8s.io", "TokenReview");
  EXPECT_EQ(reviewed(type, R"({"spec":{"token":"t"}})", &who).text("status.user.username"), "bob");
  const json::Value unknown = reviewed(type, R"({"spec":{"token":"x"}})", &who);
  EXPECT_EQ(unknown.at("status.authenticated"), nullptr);
  EXPECT_EQ(unknown.text("status.error"), "invalid bearer token");
}

TEST(ReviewsTest, OfAnotherKindAreRefusedInWords) {
  const UserInfo user = alice();
  const Answer answer = review(kind("", "Binding"), json::Value(json::Object()), ReviewContext{user, nullptr, nullptr, ""}, WallTime());
  EXPECT_EQ(answer.status, 501);
  EXPECT_THAT(answer.body, HasSubstr("is not served by this server"));
}

}  // namespace
}  // namespace gs::apiserver
