// Tokens of service accounts: made by requests, and who they make one.
#include "apiserver/service_account/tokens.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "apiserver/api_server.h"
#include "runtime/sim_loop.h"

namespace gs::apiserver {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

const std::string kAccounts = "/api/v1/namespaces/default/serviceaccounts";
const std::string kIssuer = "https://kubernetes.default.svc.cluster.local";

class TokensTest : public testing::Test {
 protected:
  static std::shared_ptr<ServiceAccountKeys> make_keys() {
    const auto key = TokenKey::make();
    EXPECT_TRUE(key);
    auto out = std::make_shared<ServiceAccountKeys>(*key);
    out->accepted = {*key};
    return out;
  }
  TokensTest() {
    EXPECT_EQ(server.request("POST", kAccounts, R"({"metadata":{"name":"sa"}})").status, 201);
  }
  ApiServerOptions options() const {
    ApiServerOptions out;
    out.service_account_keys = keys;
    return out;
  }
  json::Value request(const std::string& spec, int status = 201) {
    const Answer answer = server.request("POST", kAccounts + "/sa/token", R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":)" + spec + "}");
    EXPECT_EQ(answer.status, status) << answer.body;
    return *json::parse(answer.body);
  }
  std::string token(const std::string& spec = "{}") { return std::string(request(spec).text("status.token")); }
  std::string refused(const std::string& spec, int status) { return std::string(request(spec, status).text("message")); }
  json::Value claims(const std::string& of) { return *claims_of(of, {kIssuer}); }
  TokenAnswer who(const std::string& of, const std::vector<std::string>& audiences = {}) { return tokens.authenticate(of, audiences); }
  std::string uid(const std::string& path) { return std::string(json::parse(server.request("GET", path).body)->text("metadata.uid")); }

  std::shared_ptr<ServiceAccountKeys> keys = make_keys();
  SimWorld world{1};
  Loop& loop = world.add_loop();
  ApiServer server{loop, options()};
  ServiceAccountTokens tokens{loop, server.table(), server.store(), keys};
};

TEST_F(TokensTest, SayWhoTheyAreOf) {
  const json::Value made = request("{}");
  EXPECT_EQ(made.text("metadata.name"), "sa");
  EXPECT_EQ(made.at("spec")->dump(), R"({"audiences":["https://kubernetes.default.svc.cluster.local"],"boundObjectRef":null,"expirationSeconds":3600})");
  const std::string text(made.text("status.token"));
  const json::Value said = claims(text);
  EXPECT_EQ(said.find("exp")->integer().value() - said.find("iat")->integer().value(), 3600);
  EXPECT_EQ(said.text("sub"), "system:serviceaccount:default:sa");
  EXPECT_EQ(said.find("kubernetes.io")->dump(), fmt::format(R"({{"namespace":"default","serviceaccount":{{"name":"sa","uid":"{}"}}}})", uid(kAccounts + "/sa")));
  const TokenAnswer answer = who(text);
  ASSERT_TRUE(answer.user) << answer.error;
  EXPECT_EQ(answer.user->name, "system:serviceaccount:default:sa");
  EXPECT_EQ(answer.user->uid, uid(kAccounts + "/sa"));
  EXPECT_THAT(answer.user->groups, ElementsAre("system:serviceaccounts", "system:serviceaccounts:default"));
  EXPECT_THAT(answer.user->extra.at("authentication.kubernetes.io/credential-id"), ElementsAre(fmt::format("JTI={}", said.text("jti"))));
  EXPECT_THAT(answer.audiences, ElementsAre(kIssuer));
}

TEST_F(TokensTest, AreRefusedInKubernetesWords) {
  EXPECT_EQ(refused(R"({"expirationSeconds":599})", 422),
            R"(TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes)");
  EXPECT_THAT(refused(R"({"expirationSeconds":4294967297})", 422), HasSubstr("may not specify a duration larger than 2^32 seconds"));
  EXPECT_EQ(refused(R"({"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"s"}})", 404), "secrets \"s\" not found");
  EXPECT_EQ(refused(R"({"boundObjectRef":{"kind":"ConfigMap","apiVersion":"v1","name":"s"}})", 400), "cannot bind token to object of type /v1, Kind=ConfigMap");
  EXPECT_EQ(server.request("POST", kAccounts + "/none/token", "{}").status, 404);
  const Answer named = server.request("POST", kAccounts + "/sa/token", R"({"metadata":{"name":"other"}})");
  EXPECT_THAT(named.body, HasSubstr("must match the service account name if specified"));
  EXPECT_EQ(server.request("POST", kAccounts + "/sa/token", R"({"metadata":{"uid":"other"}})").status, 409);
}

TEST_F(TokensTest, EndWithTheirTimeAndTheirAccount) {
  const std::string old = token(R"({"expirationSeconds":600})");
  world.run_for(11min - 1s);
  EXPECT_TRUE(who(old).user) << "clocks differ by a minute";
  world.run_for(2s);
  EXPECT_EQ(who(old).error, "service account token has expired");
  const std::string text = token();
  server.request("DELETE", kAccounts + "/sa");
  EXPECT_EQ(who(text).error, "serviceaccounts \"sa\" not found");
  server.request("POST", kAccounts, R"({"metadata":{"name":"sa"}})");
  EXPECT_THAT(who(text).error, HasSubstr("service account UID ("));
}

TEST_F(TokensTest, EndWithWhatTheyAreBoundTo) {
  server.request("POST", "/api/v1/namespaces/default/secrets", R"({"metadata":{"name":"s"}})");
  const std::string bound = R"({"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"s"}})", text = token(bound);
  EXPECT_EQ(claims(text).find("kubernetes.io")->text("secret.name"), "s");
  EXPECT_TRUE(who(text).user);
  EXPECT_THAT(refused(R"({"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"s","uid":"u"}})", 409), HasSubstr("the UID in the bound object reference (u) does not match"));
  server.request("DELETE", "/api/v1/namespaces/default/secrets/s");
  EXPECT_EQ(who(text).error, "service account token has been invalidated");
  server.request("POST", "/api/v1/namespaces/default/secrets", R"({"metadata":{"name":"s"}})");
  EXPECT_THAT(who(text).error, HasSubstr("does not match service account secret ref claim"));
}

TEST_F(TokensTest, OfPodsTellTheirPodAndNodeAndMayLastAYear) {
  const std::string pods = "/api/v1/namespaces/default/pods";
  ASSERT_EQ(server.request("POST", pods, R"({"metadata":{"name":"p"},"spec":{"serviceAccountName":"sa","nodeName":"n","containers":[{"name":"c","image":"i"}]}})").status, 201);
  const std::string bound = R"("boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"p"})";
  const std::string text = token(R"({"expirationSeconds":3607,)" + bound + "}");
  const json::Value said = claims(text);
  EXPECT_EQ(said.find("exp")->integer().value() - said.find("iat")->integer().value(), 365 * 24 * 3600);
  EXPECT_EQ(said.find("kubernetes.io")->find("warnafter")->integer().value() - said.find("iat")->integer().value(), 3607);
  const TokenAnswer answer = who(text);
  ASSERT_TRUE(answer.user) << answer.error;
  EXPECT_THAT(answer.user->extra, UnorderedElementsAre(testing::Pair(HasSubstr("credential-id"), testing::_), testing::Pair(HasSubstr("pod-name"), ElementsAre("p")),
                                                       testing::Pair(HasSubstr("pod-uid"), ElementsAre(uid(pods + "/p"))), testing::Pair(HasSubstr("node-name"), ElementsAre("n"))));
  ASSERT_EQ(server.request("POST", pods, R"({"metadata":{"name":"q"},"spec":{"containers":[{"name":"c","image":"i"}]}})").status, 201);
  EXPECT_THAT(refused(R"({"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"q"}})", 400), HasSubstr("to pod running with different serviceaccount name."));
}

TEST_F(TokensTest, AreForTheirAudiences) {
  const std::string vault = token(R"({"audiences":["vault"]})");
  EXPECT_EQ(who(vault).error, fmt::format(R"(token audiences ["vault"] is invalid for the target audiences ["{}"])", kIssuer));
  EXPECT_THAT(who(vault, {"vault", "other"}).audiences, ElementsAre("vault"));
}

TEST_F(TokensTest, AreBelievedWhereOneOfTheKeysSignedThem) {
  const std::string text = token();
  const auto other = make_keys();
  const ServiceAccountTokens strangers(loop, server.table(), server.store(), other);
  EXPECT_EQ(strangers.authenticate(text, {}).error, "invalid signature, no keys found");
  other->accepted.push_back(keys->signing);
  EXPECT_TRUE(ServiceAccountTokens(loop, server.table(), server.store(), other).authenticate(text, {}).user);
  // Another signature, other claims, no signature at all.
  const size_t dot = text.rfind('.'), first = text.find('.');
  std::string changed = text;
  changed[dot + 5] = changed[dot + 5] == 'A' ? 'B' : 'A';
  EXPECT_THAT(who(changed).error, HasSubstr("cryptographic primitive"));
  const std::string theirs = token();
  EXPECT_FALSE(who(text.substr(0, first) + theirs.substr(first, theirs.rfind('.') - first) + text.substr(dot)).user);
  EXPECT_FALSE(who(text.substr(0, dot + 1)).user);
  EXPECT_FALSE(who("eyJhbGciOiJub25lIn0" + text.substr(first, dot - first + 1)).user) << "alg: none";
  for (const char* nonsense : {"", "a.b", "a.b.c", "..", "{}"}) EXPECT_EQ(who(nonsense).error, "") << "not ours: " << nonsense;
}

TEST_F(TokensTest, AuthenticateRequestsAndAreReviewed) {
  Authenticator authenticator;
  net::HttpRequest asking("GET", "/api");
  asking.headers.emplace_back("authorization", "Bearer " + token());
  const auto user = authenticator.authenticate(asking, {}, &tokens);
  ASSERT_TRUE(user);
  EXPECT_THAT(user->groups, ElementsAre("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"));
  asking.headers.back().value += "x";
  EXPECT_FALSE(authenticator.authenticate(asking, {}, &tokens));
}

TEST(TokenKeyTest, IsReadAndWrittenAsPem) {
  const auto key = TokenKey::make();
  ASSERT_TRUE(key);
  EXPECT_EQ(key->algorithm(), "ES256");
  const auto pem = key->to_pem();
  const auto again = TokenKey::read_private(*pem);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id(), key->id());
  EXPECT_TRUE(again->verify("text", *key->sign("text")));
  EXPECT_FALSE(again->verify("other", *key->sign("text")));
  EXPECT_EQ(TokenKey::read_all(*pem + *TokenKey::make()->to_pem())->size(), 2u);
  EXPECT_FALSE(TokenKey::read_private("nonsense"));
  EXPECT_FALSE(TokenKey::read_all("nonsense"));
}

}  // namespace
}  // namespace gs::apiserver
