// Configurations of a cluster, against the API server in memory over the simulated network.
#include "webhook/configurator.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "apiserver/api_server.h"
#include "base/strings.h"
#include "kube/http_transport.h"
#include "net/http_server.h"
#include "net/sim_net.h"
#include "webhook/certificate_keeper.h"

namespace gs::webhook {
namespace {

using namespace std::chrono_literals;
using json::Value;

const std::string kConfigurations = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const std::string kServicesPath = "/api/v1/namespaces/ns/services";

class ConfiguratorTest : public testing::Test, private apiserver::RestHandler::Observer, private Configurator::Observer {
 protected:
  ConfiguratorTest() {
    listener = *net::SimListener::listen(loop, net, "cluster", 443, http);
    kube::ConnectionConfig config;
    config.server = *kube::parse_server_url("http://cluster:443");
    transport = std::make_unique<kube::HttpTransport>(loop, connector, config, kube::HttpTransportOptions());
    informers = std::make_unique<cache::InformerSet>(loop, *transport, cache::ReflectorOptions());
    server.handler().set_observer(this);
    server.add_namespace("ns");
    for (const char* resource : {"validatingwebhookconfigurations", "mutatingwebhookconfigurations"}) {
      apiserver::ResourceType type("admissionregistration.k8s.io", "v1", resource, "ValidatingWebhookConfiguration", false);
      type.has_generation = true;
      server.table().add(type);
    }
    apiserver::ResourceType slices("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true);
    server.table().add(slices);
    rotate({});
  }
  void ask(const std::string& method, const std::string& target, const std::string& body = {}, const std::string& type = "application/json") {
    const auto answer = server.request(method, target, body, type);
    ASSERT_LT(answer.status, 300) << method << " " << target << ": " << answer.body;
  }
  void patch(const std::string& target, const std::string& body) { ask("PATCH", target, body, "application/merge-patch+json"); }
  Value get(const std::string& target) {
    const auto answer = server.request("GET", target);
    return answer.status == 200 ? *json::parse(answer.body) : Value();
  }
  Value configuration(const std::string& name = "c") { return get(kConfigurations + "/" + name); }
  std::string url(const std::string& name = "c") {
    const Value all = configuration(name);
    const Value* found = all.pointer("/webhooks/0/clientConfig/url");
    return found != nullptr && found->string() != nullptr ? *found->string() : "";
  }
  void add(const std::string& name, const std::string& client_config, const std::string& labels = "{}") {
    ask("POST", kConfigurations,
        fmt::format(R"({{"metadata":{{"name":"{}","labels":{}}},"webhooks":[{{"name":"one.example.com","clientConfig":{},"rules":[{{"apiGroups":[""],"resources":["pods"]}}]}}]}})", name, labels, client_config));
  }
  void add_by_url(const std::string& name = "c", const std::string& labels = "{}") { add(name, R"({"url":"https://old.example/x"})", labels); }
  void add_by_service() { add("c", R"({"service":{"namespace":"ns","name":"hook"}})"); }

  // As the leader's next step; the state is carried at once.
  void rotate(std::optional<Rotation> rotation, Duration later = 0s) {
    wall += later;
    StepInput in;
    in.now = wall;
    in.names = {"plane.example", "hook.ns.svc"};
    in.rotate = rotation;
    in.carried = state.revision;
    auto next = step(state, in);
    ASSERT_TRUE(next);
    if (next->next) state = *next->next;
  }
  void start(ConfiguratorOptions options = {}, bool write = true, ServiceMode mode = ServiceMode::kExternalName) {
    loop.post([this, options, write, mode]() mutable {
      ServiceEndpoint endpoint;
      endpoint.host = mode == ServiceMode::kExternalName ? plane_host : "192.0.2.7";
      endpoint.port = 9443;
      endpoint.mode = mode;
      services = std::make_unique<Services>(loop, *transport, *informers, endpoint);
      options.webhook = "w";
      options.ref.kind = ConfigurationKind::kValidating;
      if (options.ref.label_selector.empty()) options.ref.name = "c";
      options.cluster_uid = "u";
      options.plane.base = "https://plane.example:9443";
      options.plane.host = plane_host;
      options.plane.port = 9443;
      options.plane.services = mode;
      Configurator::Observer& observer = *this;
      configurator = std::make_unique<Configurator>(Configurator::Deps(loop, *transport, *informers, *services, tls, probes), options, observer);
      configurator->adopt(material_of(state), write);
    });
  }
  void adopt(bool write = true) {
    loop.post([this, write] { configurator->adopt(material_of(state), write); });
  }
  void release(OnDelete how) {
    loop.post([this, how] { configurator->release(how); });
  }
  std::string ours() const { return "https://plane.example:9443/" + material_of(state)->issued_prefix("u") + "/admissionwebhooks/w"; }
  bool run_until(const std::function<bool()>& done, Duration limit = 60s) { return world.run_until(done, world.now() + limit); }
  bool settled() { return run_until([&] { return configurator && configurator->state().reason.empty() && configurator->state().carried == state.revision; }); }
  void idle(Duration time) {
    run_until([] { return false; }, time);
  }

  void served(const gateway::RestRequest& request, const apiserver::Answer& answer) override {
    if (request.verb == gateway::Verb::kPatch || request.verb == gateway::Verb::kCreate || request.verb == gateway::Verb::kDelete) {
      ++writes;
      conflicts += answer.status == 409;
    }
  }
  void configurator_changed() override {}
  void drift_mended(const kube::ObjectRef&, const std::string& what) override { mended.push_back(what); }

  SimWorld world{3};
  SimLoop& loop = world.add_loop();
  net::SimNet net{world};
  apiserver::ApiServer server{loop};
  net::HttpServer http{loop, server.handler()};
  std::unique_ptr<net::Listener> listener;
  net::SimConnector connector{loop, net, "plane"};
  net::SimConnector probes{loop, net, "probes"};
  net::TlsContext tls;
  std::unique_ptr<kube::HttpTransport> transport;
  std::unique_ptr<cache::InformerSet> informers;
  std::unique_ptr<Services> services;
  std::unique_ptr<Configurator> configurator;
  std::string plane_host = "plane.example";
  CertificateState state;
  WallTime wall = WallTime(1'700'000'000s);
  int writes = 0, conflicts = 0;
  std::vector<std::string> mended;
};

TEST_F(ConfiguratorTest, AConfigurationIsPointedToThePlaneWithOneWriteAndThenLeftAlone) {
  add_by_url();
  start();
  ASSERT_TRUE(settled());
  EXPECT_EQ(url(), ours());
  EXPECT_EQ(*configuration().pointer("/webhooks/0/clientConfig/caBundle")->string(), base64_encode(state.bundle()));
  idle(1h);
  EXPECT_EQ(writes, 1);
}

TEST_F(ConfiguratorTest, OneThatComesLaterIsConfiguredAndOneThatIsMissingIsSaid) {
  start();
  ASSERT_TRUE(run_until([&] { return configurator && configurator->state().reason == "ConfigurationMissing"; }));
  EXPECT_EQ(configurator->state().carried, state.revision) << "nothing lags behind";
  add_by_url();
  ASSERT_TRUE(settled());
}

TEST_F(ConfiguratorTest, AStandbyLooksAndNeverWrites) {
  add_by_url();
  start({}, false);
  idle(1min);
  EXPECT_EQ(writes, 0);
  EXPECT_EQ(configurator->state().carried, std::nullopt);
  EXPECT_EQ(configurator->state().configurations, 1u);
  EXPECT_EQ(configurator->state().reason, "Configuring") << "what is not written is not ready";
  adopt(true);
  ASSERT_TRUE(settled());
}

TEST_F(ConfiguratorTest, DriftIsMendedAndReportedAndAnEditOfRulesIsKept) {
  add_by_url();
  start();
  ASSERT_TRUE(settled());
  patch(kConfigurations + "/c", R"({"webhooks":[{"name":"one.example.com","clientConfig":{"url":"https://old.example/x"},"rules":[{"apiGroups":["apps"],"resources":["deployments"]}]}]})");
  ASSERT_TRUE(run_until([&] { return url() == ours(); }));
  ASSERT_TRUE(run_until([&] { return mended.size() == 1; }));
  EXPECT_EQ(mended[0], "webhooks[0].clientConfig.caBundle, webhooks[0].clientConfig.url");
  EXPECT_EQ(configuration().pointer("/webhooks/0/rules/0/apiGroups/0")->string()->c_str(), std::string("apps"));
}

TEST_F(ConfiguratorTest, WhoeverKeepsChangingItIsMendedMoreAndMoreSeldom) {
  add_by_url();
  start();
  ASSERT_TRUE(settled());
  const MonoTime began = world.now();
  while (world.now() < began + 20min) {
    run_until([&] { return url() == ours(); }, 10s);
    if (url() == ours()) patch(kConfigurations + "/c", R"({"webhooks":[{"name":"one.example.com","clientConfig":{"url":"https://other.example/x"}}]})");
  }
  EXPECT_LE(mended.size(), 16u);
  EXPECT_EQ(configurator->state().reason, "Contended");
  ASSERT_TRUE(run_until([&] { return url() == ours(); }, 6min));
}

TEST_F(ConfiguratorTest, ConcurrentEditsAreNeverLost) {
  add_by_url();
  start();
  ASSERT_TRUE(settled());
  for (int i = 0; i < 50; ++i) {
    // Each edit races with the write for a rotation.
    rotate(i % 2 == 0 ? Rotation::kAuthority : Rotation::kPrefix, kRetire + 1s);
    adopt();
    idle(std::chrono::microseconds(137 * i));
    Value now = configuration();
    now["webhooks"].make_array()[0]["failurePolicy"] = i % 2 == 0 ? "Ignore" : "Fail";
    *now.pointer("/webhooks/0/rules/0/resources/0") = fmt::format("r{}", i);
    const auto answer = server.request("PUT", kConfigurations + "/c", now.dump(), "application/json");
    ASSERT_EQ(answer.status, 200) << answer.body;
    ASSERT_TRUE(settled()) << configurator->state().message;
    EXPECT_EQ(*configuration().pointer("/webhooks/0/rules/0/resources/0")->string(), fmt::format("r{}", i));
    EXPECT_EQ(url(), ours());
  }
  EXPECT_GT(conflicts, 0) << "no edit raced";
}

TEST_F(ConfiguratorTest, ARotationIsWrittenAndCarriedAndIsNoDrift) {
  add_by_url();
  start();
  ASSERT_TRUE(settled());
  rotate(Rotation::kPrefix, 1s);
  rotate({}, kPropagation);
  EXPECT_NE(url(), ours());
  adopt();
  ASSERT_TRUE(settled());
  EXPECT_EQ(url(), ours());
  EXPECT_TRUE(mended.empty());
}

TEST_F(ConfiguratorTest, AServiceIsMadeAnExternalNameBeforeTheConfigurationIsWritten) {
  add_by_service();
  start();
  ASSERT_TRUE(settled());
  const Value service = get(kServicesPath + "/hook");
  EXPECT_EQ(service.text("spec.type"), "ExternalName");
  EXPECT_EQ(service.text("spec.externalName"), "plane.example");
  EXPECT_EQ(configuration().pointer("/webhooks/0/clientConfig/service/port")->integer(), 9443);
  EXPECT_EQ(writes, 2);
  patch(kServicesPath + "/hook", R"({"spec":{"externalName":"elsewhere.example"}})");
  ASSERT_TRUE(run_until([&] { return get(kServicesPath + "/hook").text("spec.externalName") == "plane.example"; }));
}

TEST_F(ConfiguratorTest, AServiceOfSomebodyElseIsReportedAndNotTouched) {
  ask("POST", kServicesPath, R"({"metadata":{"name":"hook"},"spec":{"selector":{"app":"x"},"ports":[{"port":443}]}})");
  add_by_service();
  start();
  ASSERT_TRUE(run_until([&] { return configurator && configurator->state().reason == "ServiceRefused"; }));
  idle(1min);
  EXPECT_EQ(writes, 0);
  EXPECT_NE(configurator->state().message.find("Service ns/hook: has a selector"), std::string::npos);
  ask("DELETE", kServicesPath + "/hook");
  ASSERT_TRUE(settled());
}

TEST_F(ConfiguratorTest, AServiceMayLeadByAnEndpointSlice) {
  add_by_service();
  start({}, true, ServiceMode::kEndpointSlice);
  ASSERT_TRUE(settled());
  const Value service = get(kServicesPath + "/hook");
  EXPECT_EQ(service.at("spec.selector"), nullptr);
  EXPECT_EQ(service.pointer("/spec/ports/0/targetPort")->integer(), 9443);
  const Value slice = get("/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices/hook-gulfstream");
  EXPECT_EQ(*slice.pointer("/endpoints/0/addresses/0")->string(), "192.0.2.7");
  EXPECT_EQ(configuration().pointer("/webhooks/0/clientConfig/service/port"), nullptr) << "the author's port stays";
  release(OnDelete::kRestore);
  ASSERT_TRUE(run_until([&] { return configurator->state().released; }));
  EXPECT_TRUE(get(kServicesPath + "/hook").is_null());
  EXPECT_TRUE(get("/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices/hook-gulfstream").is_null());
}

TEST_F(ConfiguratorTest, TheAgentsOwnServiceLeadsToItByItself) {
  ask("POST", kServicesPath, R"({"metadata":{"name":"hook"},"spec":{"selector":{"app":"agent"},"ports":[{"port":443}]}})");
  add_by_service();
  plane_host = "hook.ns.svc";
  start();
  ASSERT_TRUE(settled()) << configurator->state().message;
  EXPECT_EQ(writes, 1);
  EXPECT_EQ(configuration().pointer("/webhooks/0/clientConfig/service/port"), nullptr);
}

TEST_F(ConfiguratorTest, WithoutAnswerOfTheFormerEndpointItAsksAndThenDoesAsItIsTold) {
  add_by_url();
  start();
  ASSERT_TRUE(settled());
  release(OnDelete::kAsk);
  ASSERT_TRUE(run_until([&] { return configurator->state().reason == "FormerEndpointDead"; }));
  EXPECT_NE(configurator->state().message.find("gulfstream.dev/on-delete"), std::string::npos);
  EXPECT_FALSE(configurator->state().released);
  EXPECT_EQ(url(), ours()) << "it is still served";
  release(OnDelete::kRestore);
  ASSERT_TRUE(run_until([&] { return configurator->state().released; }));
  EXPECT_EQ(url(), "https://old.example/x");
  const Value after = configuration();
  EXPECT_EQ(after.at("metadata.annotations"), nullptr) << "and nothing else was annotated";
}

TEST_F(ConfiguratorTest, AWebhookMayBeTakenOutInstead) {
  add_by_service();
  start();
  ASSERT_TRUE(settled());
  release(OnDelete::kRemoveWebhook);
  ASSERT_TRUE(run_until([&] { return configurator->state().released; }));
  const Value after = configuration();
  EXPECT_EQ(after.find("webhooks")->array()->size(), 0u);
  EXPECT_TRUE(get(kServicesPath + "/hook").is_null()) << "we made it";
}

TEST_F(ConfiguratorTest, AServiceThatWasThereIsGivenBack) {
  ask("POST", kServicesPath, R"({"metadata":{"name":"hook"},"spec":{"type":"ExternalName","externalName":"old.example"}})");
  add_by_service();
  start();
  ASSERT_TRUE(settled());
  EXPECT_EQ(get(kServicesPath + "/hook").text("spec.externalName"), "plane.example");
  release(OnDelete::kRestore);
  ASSERT_TRUE(run_until([&] { return configurator->state().released; }));
  EXPECT_EQ(get(kServicesPath + "/hook").text("spec.externalName"), "old.example");
}

TEST_F(ConfiguratorTest, BySelectorManyAreConfiguredAndOneThatLeavesIsGivenBack) {
  for (const char* name : {"a", "b"}) add_by_url(name, R"({"team":"x"})");
  add_by_url("other");
  ConfiguratorOptions options;
  options.ref.label_selector = "team=x";
  start(options);
  ASSERT_TRUE(run_until([&] { return configurator && configurator->state().carried && configurator->state().configurations == 2; }));
  EXPECT_EQ(url("a"), ours());
  EXPECT_EQ(url("other"), "https://old.example/x");
  release(OnDelete::kAsk);  // so that what leaves is asked about, too
  ASSERT_TRUE(run_until([&] { return configurator->state().reason == "FormerEndpointDead"; }));
  release(OnDelete::kRestore);
  ASSERT_TRUE(run_until([&] { return url("a") == "https://old.example/x" && url("b") == "https://old.example/x"; }));
}

// Stores.

class KeeperTest : public ConfiguratorTest {
 protected:
  std::unique_ptr<CertificateKeeper> make(std::shared_ptr<const Material>& seen, OwnCertificateFiles files = {}) {
    KeeperOptions options;
    options.files = std::move(files);
    options.host = "plane.example";
    return std::make_unique<CertificateKeeper>(loop, std::make_unique<SecretStore>(loop, *transport, "ns"), options,
                                               [&seen](std::shared_ptr<const Material> material) { seen = std::move(material); });
  }
  const std::string secret = "/api/v1/namespaces/ns/secrets";
};

TEST_F(KeeperTest, TheLeaderMakesTheSecretAndReplicasFollowIt) {
  std::shared_ptr<const Material> a, b;
  std::unique_ptr<CertificateKeeper> leader, standby;
  loop.post([&] {
    leader = make(a);
    standby = make(b);
  });
  idle(5s);
  EXPECT_EQ(a, nullptr);
  EXPECT_NE(standby->problem().find("the plane that leads makes them"), std::string::npos);
  loop.post([&] { leader->lead(); });
  ASSERT_TRUE(run_until([&] { return a && b && a->revision == b->revision; }));
  EXPECT_EQ(a->serving.certificate, b->serving.certificate);
  EXPECT_EQ(leader->problem() + standby->problem(), "");
  patch(secret + "/gulfstream-webhook", R"({"metadata":{"annotations":{"gulfstream.dev/rotate":"serving"}}})");
  const std::string before = a->serving.certificate;
  ASSERT_TRUE(run_until([&] { return a->serving.certificate != before && b->serving.certificate == a->serving.certificate; }));
  const Value after = get(secret + "/gulfstream-webhook");
  EXPECT_EQ(after.at("metadata.annotations"), nullptr) << "the annotation was taken, and there was no other";
  idle(1min);
  EXPECT_EQ(a->serving.certificate, b->serving.certificate);
}

TEST_F(KeeperTest, TwoThatBothBelieveToLeadNeverOverwriteEachOther) {
  std::shared_ptr<const Material> a, b;
  std::unique_ptr<CertificateKeeper> one, two;
  loop.post([&] {
    one = make(a);
    two = make(b);
    one->lead();
    two->lead();
  });
  ASSERT_TRUE(run_until([&] { return a && b; }));
  idle(10s);
  EXPECT_EQ(a->bundle, b->bundle);
  EXPECT_EQ(a->revision, 1u);
}

TEST_F(KeeperTest, WhatIsForeignOrBrokenStaysAsItIsAndIsSaid) {
  for (const char* data : {R"({"tls.crt":"AAAA"})", R"({"webhook.json":"AAAA"})"}) {
    server.request("DELETE", secret + "/gulfstream-webhook");
    ask("POST", secret, fmt::format(R"({{"metadata":{{"name":"gulfstream-webhook"}},"data":{}}})", data));
    const int before = writes;
    std::shared_ptr<const Material> seen;
    std::unique_ptr<CertificateKeeper> keeper;
    loop.post([&] {
      keeper = make(seen);
      keeper->lead();
    });
    idle(1min);
    EXPECT_EQ(writes, before);
    EXPECT_EQ(seen, nullptr);
    EXPECT_NE(keeper->problem().find("Secret ns/gulfstream-webhook: "), std::string::npos) << keeper->problem();
    loop.post([&] { keeper.reset(); });
    idle(1s);
  }
}

TEST_F(KeeperTest, ASecretThatIsDeletedIsPutBackAsItWas) {
  std::shared_ptr<const Material> seen;
  std::unique_ptr<CertificateKeeper> keeper;
  loop.post([&] {
    keeper = make(seen);
    keeper->lead();
  });
  ASSERT_TRUE(run_until([&] { return seen != nullptr; }));
  idle(5s);
  const std::string bundle = seen->bundle;
  ask("DELETE", secret + "/gulfstream-webhook");
  ASSERT_TRUE(run_until([&] { return !get(secret + "/gulfstream-webhook").is_null(); }));
  idle(5s);
  EXPECT_EQ(seen->bundle, bundle);
}

TEST_F(KeeperTest, AnOwnCertificateThatEndedOrCannotBeReadIsServedAndSaid) {
  const WallTime now = loop.wall_now();
  auto authority = make_authority("own", now - 24h, now + 240h);
  ASSERT_TRUE(authority);
  char place_template[] = "/tmp/gulfstream-own-XXXXXX";
  ASSERT_NE(::mkdtemp(place_template), nullptr);
  const std::string place = place_template;
  const OwnCertificateFiles files{place + "/tls.crt", place + "/tls.key", ""};
  const auto put = [&](WallTime end) {
    auto pair = make_serving(*authority, {"plane.example"}, now - 24h, end);
    ASSERT_TRUE(pair);
    std::ofstream(files.key) << pair->key;
    std::ofstream(files.certificate) << pair->certificate;
  };
  put(now + 10min);
  std::shared_ptr<const Material> seen;
  std::unique_ptr<CertificateKeeper> keeper;
  loop.post([&] {
    keeper = make(seen, files);
    keeper->lead();
  });
  ASSERT_TRUE(run_until([&] { return seen != nullptr && keeper->problem().empty(); }));
  idle(11min);
  EXPECT_NE(keeper->problem().find("/tls.crt: ended at "), std::string::npos) << keeper->problem();
  std::ofstream(files.certificate) << "nonsense";
  idle(1min);
  EXPECT_NE(keeper->problem().find("those read before are served"), std::string::npos) << keeper->problem();
  put(now + 100h);
  idle(1min);
  EXPECT_EQ(keeper->problem(), "");
  std::filesystem::remove_all(place);
}

TEST(DirectoryStore, KeepsWhatOnlyItsOwnerMayReadAndRefusesWhatOthersMay) {
  char place[] = "/tmp/gulfstream-store-XXXXXX";
  ASSERT_NE(::mkdtemp(place), nullptr);
  const std::string path = std::string(place) + "/certs";
  auto nothing = DirectoryStore::read_now(path);
  ASSERT_TRUE(nothing) << nothing.error().message;
  EXPECT_FALSE(nothing->state);
  StepInput in;
  in.now = WallTime(1'700'000'000s);
  in.names = {"a"};
  const CertificateState state = *step({}, in)->next;
  ASSERT_TRUE(DirectoryStore::write_now(path, *nothing, state));
  EXPECT_EQ(DirectoryStore::write_now(path, *nothing, state).error().code, Code::kConflict) << "somebody was quicker";
  struct stat s {};
  ::stat(path.c_str(), &s);
  EXPECT_EQ(s.st_mode & 0777, 0700u);
  ::stat((path + "/webhook.json").c_str(), &s);
  EXPECT_EQ(s.st_mode & 0777, 0600u);
  auto again = DirectoryStore::read_now(path);
  ASSERT_TRUE(again && again->state);
  EXPECT_EQ(again->state->to_json(), state.to_json());
  ::chmod(path.c_str(), 0755);
  const auto open = DirectoryStore::read_now(path);
  ASSERT_FALSE(open);
  EXPECT_NE(open.error().message.find("chmod 0700"), std::string::npos);
  std::filesystem::remove_all(place);
}

}  // namespace
}  // namespace gs::webhook
