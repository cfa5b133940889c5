// What configurations may say, and where their Services lead.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "apiserver/admission/client_manager.h"
#include "apiserver/api_server.h"
#include "apiserver/respond.h"
#include "runtime/sim_loop.h"

namespace gs::apiserver::admission {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kHooks = "/apis/admissionregistration.k8s.io/v1/";

class WebhookConfigurationTest : public testing::Test {
 protected:
  SimWorld world{7};
  ApiServer server{world.add_loop()};
};

TEST_F(WebhookConfigurationTest, ServicesLeadToANameAReadyEndpointOrTheirAddress) {
  const std::string services = "/api/v1/namespaces/default/services";
  const auto resolved = [&](const char* name, int64_t port) {
    const auto found = resolve_service(server.table(), server.store(), "default", name, port);
    return found ? fmt::format("{}:{}", found->host, found->port) : found.error().message;
  };
  EXPECT_EQ(resolved("none", 443), "service \"none\" not found");
  server.request("POST", services, R"({"metadata":{"name":"ext"},"spec":{"type":"ExternalName","externalName":"10.1.2.3"}})");
  EXPECT_EQ(resolved("ext", 8443), "10.1.2.3:8443");
  server.request("POST", services, R"({"metadata":{"name":"svc"},"spec":{"clusterIP":"10.0.0.9","ports":[{"port":443}]}})");
  EXPECT_EQ(resolved("svc", 80), "no service port 80 found for service \"svc\"");
  EXPECT_EQ(resolved("svc", 443), "10.0.0.9:443");
  const Answer slice = server.request("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
                                      R"({"metadata":{"name":"s","labels":{"kubernetes.io/service-name":"svc"}},"addressType":"IPv4","ports":[{"name":"","port":9443}],
                                          "endpoints":[{"addresses":["10.5.0.1"],"conditions":{"ready":false}},{"addresses":["10.5.0.2"]}]})");
  ASSERT_EQ(slice.status, 201) << slice.body;
  EXPECT_EQ(resolved("svc", 443), "10.5.0.2:9443");
}

TEST_F(WebhookConfigurationTest, WhatAConfigurationMayNotSay) {
  const auto refused = [&](const std::string& members) {
    const std::string rules = members.find("\"rules\"") != std::string::npos ? "" : R"("rules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["*"],"resources":["pods"]}],)";
    const std::string client = members.find("clientConfig") != std::string::npos ? "" : R"("clientConfig":{"url":"https://x"},)";
    const Answer out = server.request("POST", kHooks + "mutatingwebhookconfigurations",
                                      fmt::format(R"({{"metadata":{{"name":"x"}},"webhooks":[{{"name":"a.example.com",{}{}"sideEffects":"None","admissionReviewVersions":["v1"],{}}}]}})", rules, client, members));
    EXPECT_EQ(out.status, 422) << members << out.body;
    return std::string(json::parse(out.body)->text("message"));
  };
  EXPECT_THAT(refused(R"("matchConditions":[{"name":"c","expression":"true"}])"), HasSubstr("webhooks[0].matchConditions: Forbidden: match conditions are not evaluated by this server yet"));
  EXPECT_THAT(refused(R"("reinvocationPolicy":"Always")"), HasSubstr("webhooks[0].reinvocationPolicy: Unsupported value: \"Always\": supported values: \"IfNeeded\", \"Never\""));
  EXPECT_THAT(refused(R"("objectSelector":{"matchLabels":{"-a":"b"}})"), HasSubstr("webhooks[0].objectSelector.matchLabels: Invalid value: \"-a\""));
  EXPECT_THAT(refused(R"("clientConfig":{"url":"https://u@h/p?q=1#f"})"), HasSubstr("user information is not permitted in the URL"));
  EXPECT_THAT(refused(R"("clientConfig":{"service":{"name":"s","namespace":"n","path":"a"}})"), HasSubstr("webhooks[0].clientConfig.service.path: Invalid value: \"a\": must start with a '/'"));
  EXPECT_THAT(refused(R"("rules":[{"apiGroups":["*","a"],"apiVersions":["v1"],"operations":["*"],"resources":["pods"]}])"), HasSubstr("if '*' is present, must not specify other API groups"));
  EXPECT_THAT(refused(R"("rules":[{"apiGroups":["a"],"apiVersions":["v1"],"operations":["*"],"resources":["pods/*","pods/log"]}])"),
              HasSubstr("webhooks[0].rules[0].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log"));
}

TEST_F(WebhookConfigurationTest, WarningsAreToldOnceAndCutWhereTheyAreTooManyForAHeader) {
  const auto told = [](const std::vector<std::string>& warnings) {
    Answer answer;
    answer.warnings = warnings;
    std::vector<size_t> lengths;
    for (const auto& [name, value] : head_of(answer).headers) {
      if (name == "warning") lengths.push_back(value.size() - std::string_view("299 - \"\"").size());
    }
    return lengths;
  };
  EXPECT_THAT(told({"a", "a", "", "bc"}), ElementsAre(1, 2));
  EXPECT_THAT(told({std::string(4000, 'x'), std::string(96, 'y')}), ElementsAre(4000, 96));
  EXPECT_THAT(told({std::string(4000, 'x'), std::string(97, 'y')}), ElementsAre(256, 97));
  std::vector<std::string> many;
  for (char c = 'a'; c <= 'z'; ++c) many.emplace_back(300, c);
  EXPECT_EQ(told(many).size(), 16u) << "4096 / 256";
}

}  // namespace
}  // namespace gs::apiserver::admission
