#include "kube/discovery.h"

#include "runtime/sim_loop.h"
#include "test/support/fake_api.h"

namespace gs::kube {
namespace {

// One answer for everything.
class OneAnswer final : public KubeTransport {
 public:
  Task<Result<Response>> send(Request request) override {
    last = std::move(request);
    co_return answer;
  }
  Task<Result<std::unique_ptr<ResponseStream>>> open(Request) override { co_return fail(Code::kInternal, "not asked for"); }
  void say(int status, std::string body) {
    Response out;
    out.status = status;
    out.body = std::move(body);
    answer = std::move(out);
  }
  Result<Response> answer = fail(Code::kInternal, "none");
  Request last;
};

template <class T>
T now(Task<T> task) {
  EXPECT_TRUE(task.start(nullptr, nullptr));
  return task.take_result();
}

class DiscoveryTest : public testing::Test {
 protected:
  Result<std::string> version() { return now(server_version(api, "https://h:6443", Lane::kRequest, kNoDeadline)); }
  Result<ApiResources> resources(std::string group = "apps", std::string v = "v1") { return now(discover(api, group, v, kNoDeadline)); }
  OneAnswer api;
};

TEST_F(DiscoveryTest, TheVersionOfAKubernetesServer) {
  api.say(200, R"({"gitVersion":"v1.36.3"})");
  EXPECT_EQ(version(), "v1.36.3");
  EXPECT_EQ(api.last.target, "/version");
}

TEST_F(DiscoveryTest, WhatIsNoKubernetesServerIsSaid) {
  struct Row {
    int status;
    std::string body;
    Code code;
    const char* message;
  };
  const Row rows[] = {
      {200, "<html>\nhi</html>", Code::kInternal, "the server at https://h:6443 does not answer as a Kubernetes API server: GET /version gave no Kubernetes version and \"<html> hi</html>\""},
      {404, "nothing here", Code::kInternal, "does not answer as a Kubernetes API server: GET /version gave status 404"},
      {302, "", Code::kInternal, "GET /version gave status 302"},
      {200, R"({"gitVersion":""})", Code::kInternal, "no Kubernetes version"},
      {401, test::FakeApi::status(401, "Unauthorized", "Unauthorized"), Code::kUnauthorized, "refuses our credentials"},
      {403, test::FakeApi::status(403, "Forbidden", "anonymous may not"), Code::kForbidden, "GET /version: anonymous may not"},
      {503, "apiserver is starting", Code::kUnavailable, "GET /version: apiserver is starting"},
      {429, test::FakeApi::status(429, "TooManyRequests", "slow down"), Code::kTooManyRequests, "slow down"},
  };
  for (const Row& row : rows) {
    api.say(row.status, row.body);
    const auto got = version();
    ASSERT_FALSE(got) << row.message;
    EXPECT_EQ(got.error().code, row.code) << row.message;
    EXPECT_NE(got.error().message.find(row.message), std::string::npos) << got.error().message;
  }
}

TEST_F(DiscoveryTest, TheIdOfAClusterIsTheUidOfKubeSystem) {
  api.say(200, R"({"kind":"PartialObjectMetadata","metadata":{"uid":"u-1"}})");
  EXPECT_EQ(now(cluster_uid(api, Lane::kRequest, kNoDeadline)), "u-1");
  EXPECT_NE(api.last.accept.find("PartialObjectMetadata"), std::string::npos);
  api.say(403, test::FakeApi::status(403, "Forbidden", "no"));
  EXPECT_EQ(now(cluster_uid(api, Lane::kRequest, kNoDeadline)).error().code, Code::kForbidden);
  api.say(200, R"({"metadata":{}})");
  EXPECT_EQ(now(cluster_uid(api, Lane::kRequest, kNoDeadline)).error().code, Code::kInternal);
}

TEST_F(DiscoveryTest, TheResourcesOfAGroupAndVersion) {
  api.say(200, R"({"kind":"APIResourceList","resources":[
    {"name":"deployments/scale","kind":"Scale","verbs":["get","update"]},
    {"name":"deployments","singularName":"deployment","namespaced":true,"kind":"Deployment","verbs":["get","list","watch"]},
    {"name":"deployments/status","kind":"Deployment","verbs":["get","patch"]},
    {"name":"orphans/exec","kind":"X","verbs":["create"]}, {"name":""}, 5]})");
  const auto got = resources();
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(api.last.target, "/apis/apps/v1");
  ASSERT_EQ(got->size(), 1u) << "a subresource alone is no resource";
  const ApiResource& deployments = got->at("deployments");
  EXPECT_EQ(deployments.kind, "Deployment");
  EXPECT_TRUE(deployments.namespaced);
  EXPECT_TRUE(deployments.has_verb("watch"));
  EXPECT_FALSE(deployments.has_verb("delete"));
  EXPECT_EQ(deployments.subresources.at("scale"), (std::vector<std::string>{"get", "update"}));
  EXPECT_EQ(deployments.subresources.size(), 2u);
  (void)resources("", "v1");
  EXPECT_EQ(api.last.target, "/api/v1");
}

TEST_F(DiscoveryTest, WhyThereIsNothingToDiscover) {
  api.say(404, "404 page not found");
  EXPECT_EQ(resources("example.com", "v1").error().message, "example.com/v1 is not served");
  EXPECT_EQ(resources("example.com", "v1").error().code, Code::kNotFound);
  api.say(503, "error trying to reach service");
  EXPECT_EQ(resources().error().code, Code::kUnavailable);
  api.say(403, test::FakeApi::status(403, "Forbidden", "no"));
  EXPECT_EQ(resources().error().code, Code::kForbidden);
  for (const char* garbage : {"", "[]", "{}", R"({"kind":"Status"})", R"({"kind":"APIResourceList","resources":{}})"}) {
    api.say(200, garbage);
    const auto got = resources();
    ASSERT_FALSE(got) << garbage;
    EXPECT_TRUE(got.error().message.starts_with("GET /apis/apps/v1: ")) << got.error().message;
  }
  api.say(200, R"({"kind":"APIResourceList","resources":null})");
  EXPECT_TRUE(resources()->empty());
}

}  // namespace
}  // namespace gs::kube
