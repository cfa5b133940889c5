#include "fleet/cluster.h"

#include <functional>

#include "kube/process.h"
#include "net/sim_net.h"
#include "test/support/fake_api.h"

namespace gs::fleet {
namespace {

using namespace std::chrono_literals;

class ClusterTest : public testing::Test, public Cluster::Observer {
 protected:
  ClusterTest()
      : world(3), loop(world.add_loop()), net(world), api(loop), tcp(loop, net, "plane"),
        untrusted_filter(net::default_cluster_deny_cidrs()), untrusted_tcp(loop, net, "plane", &untrusted_filter), deps(loop, tls, tcp) {
    deps.untrusted_tcp = &untrusted_tcp;
    deps.untrusted_filter = &untrusted_filter;
    net.add_host("api.example", "10.1.1.1");
    net.add_host("metadata.example", "169.254.169.254");
    for (const char* host : {"api.example", "metadata.example"}) {
      listeners.push_back(net::SimListener::listen(loop, net, host, 6443, api.acceptor()).value());
    }
    ::unsetenv("HTTP_PROXY");
    ::unsetenv("http_proxy");
  }
  void facts_changed(Cluster&) override { ++changes; }

  ClusterSpec spec(const std::string& server, bool untrusted) {
    ClusterSpec out;
    out.tenant = "team";
    out.name = "prod";
    out.untrusted = untrusted;
    kube::ConnectionConfig connection;
    connection.server = kube::parse_server_url(server).value();
    connection.token = "t";
    out.connection = std::make_shared<const kube::ConnectionConfig>(std::move(connection));
    return out;
  }
  static void edit(ClusterSpec& spec, const std::function<void(kube::ConnectionConfig&)>& change) {
    kube::ConnectionConfig connection = *spec.connection;
    change(connection);
    spec.connection = std::make_shared<const kube::ConnectionConfig>(std::move(connection));
  }
  Result<std::unique_ptr<Cluster>> connect(ClusterSpec wanted) { return Cluster::connect(deps, std::move(wanted), ClusterId(1), *this); }
  // What the probe of a freshly connected cluster found.
  ClusterFacts probe(ClusterSpec wanted, Duration time = 500ms) {
    auto cluster = connect(std::move(wanted));
    EXPECT_TRUE(cluster) << cluster.error().message;
    if (!cluster) return {};
    world.run_for(time);
    return (*cluster)->facts();
  }

  SimWorld world;
  SimLoop& loop;
  net::SimNet net;
  test::FakeApi api;
  net::TlsContext tls;
  net::SimConnector tcp;
  net::DestinationFilter untrusted_filter;
  net::SimConnector untrusted_tcp;
  ClusterDeps deps;
  std::vector<std::unique_ptr<net::SimListener>> listeners;
  int changes = 0;
};

TEST_F(ClusterTest, LearnsVersionAndIdAndSaysSoOnce) {
  auto cluster = connect(spec("http://api.example:6443", false));
  ASSERT_TRUE(cluster);
  world.run_for(1h);
  EXPECT_TRUE((*cluster)->facts().reachable);
  EXPECT_EQ((*cluster)->facts().version, "v1.36.3");
  EXPECT_EQ((*cluster)->facts().observed_id, "cluster-uid");
  EXPECT_EQ(changes, 1);
}

TEST_F(ClusterTest, NotBeingAllowedToReadKubeSystemIsNoFault) {
  api.script = [](const net::HttpRequest& r) {
    return r.target == "/version" ? test::FakeApi::standard(r) : test::CannedAnswer(403, test::FakeApi::status(403, "Forbidden", "no"));
  };
  const ClusterFacts facts = probe(spec("http://api.example:6443", false));
  EXPECT_TRUE(facts.reachable);
  EXPECT_EQ(facts.observed_id, "");
}

TEST_F(ClusterTest, RefusedCredentialsAndServersThatAreNotKubernetesAreSaidInWordsAndHeal) {
  api.script = [](const net::HttpRequest&) { return test::CannedAnswer(401, test::FakeApi::status(401, "Unauthorized", "Unauthorized")); };
  auto cluster = connect(spec("http://api.example:6443", false));
  ASSERT_TRUE(cluster);
  world.run_for(500ms);
  EXPECT_FALSE((*cluster)->facts().reachable);
  EXPECT_NE((*cluster)->facts().error.find("refuses our credentials"), std::string::npos) << (*cluster)->facts().error;
  api.script = [](const net::HttpRequest&) { return test::CannedAnswer(200, "<html>welcome</html>"); };
  world.run_for(5s);
  EXPECT_NE((*cluster)->facts().error.find("does not answer as a Kubernetes API server"), std::string::npos) << (*cluster)->facts().error;
  api.script = nullptr;
  world.run_for(90s);
  EXPECT_TRUE((*cluster)->facts().reachable);
  EXPECT_EQ((*cluster)->facts().error, "");
}

TEST_F(ClusterTest, TroubleOfAnInformerIsLookedIntoSoon) {
  struct Ignore final : cache::InformerHandler {
    void on_added(const kube::ObjectRef&, bool) override {}
    void on_updated(const kube::ObjectRef&, const kube::ObjectRef&) override {}
    void on_deleted(const kube::ObjectRef&, bool) override {}
  } ignore;
  api.script = [](const net::HttpRequest& r) {
    test::CannedAnswer watch(200, "");
    watch.hold = true;
    return r.target.find("watch=true") != std::string::npos ? watch : test::FakeApi::standard(r);
  };
  auto cluster = connect(spec("http://api.example:6443", false));
  ASSERT_TRUE(cluster);
  cache::InformerKey key;
  key.resource = cache::GroupVersionResource("", "v1", "pods");
  const cache::InformerHandle handle = (*cluster)->informers().acquire(key, ignore);
  world.run_for(30s);
  ASSERT_TRUE((*cluster)->facts().reachable);
  api.script = [](const net::HttpRequest&) { return test::CannedAnswer(401, test::FakeApi::status(401, "Unauthorized", "Unauthorized")); };
  net.reset("plane", "api.example");
  world.run_for(15s);
  EXPECT_FALSE((*cluster)->facts().reachable) << "long before the next regular look";
  const size_t before = api.requests.size();
  world.run_for(10min);
  EXPECT_LE(api.requests.size() - before, 70u) << "and no more often than it backs off";
}

TEST_F(ClusterTest, AnUntrustedKubeconfigReachesWhatTheRulesAllow) {
  EXPECT_TRUE(probe(spec("http://api.example:6443", true)).reachable);
}

TEST_F(ClusterTest, AnUntrustedKubeconfigIsRefusedDeniedAddressesByNumberAndByName) {
  for (const char* server : {"http://169.254.169.254:6443", "http://metadata.example:6443"}) {
    const ClusterFacts facts = probe(spec(server, true));
    EXPECT_FALSE(facts.reachable);
    EXPECT_NE(facts.error.find("destination 169.254.169.254 is refused by rule 169.254.0.0/16"), std::string::npos) << facts.error;
    EXPECT_TRUE(probe(spec(server, false)).reachable) << "an operator's own kubeconfig may go there";
  }
}

TEST_F(ClusterTest, TheRuleHoldsAtEachDialWhateverTheNameMeantBefore) {
  auto cluster = connect(spec("http://api.example:6443", true));
  ASSERT_TRUE(cluster);
  world.run_for(500ms);
  EXPECT_TRUE((*cluster)->facts().reachable);
  net.add_host("api.example", "127.0.0.1");
  net.reset("plane", "api.example");
  world.run_for(6min);
  EXPECT_FALSE((*cluster)->facts().reachable);
  EXPECT_NE((*cluster)->facts().error.find("127.0.0.0/8"), std::string::npos) << (*cluster)->facts().error;
}

TEST_F(ClusterTest, AProxyOfAnUntrustedKubeconfigIsBoundByTheSameRules) {
  ClusterSpec through = spec("http://api.example:6443", true);
  edit(through, [](auto& connection) { connection.proxy_url = "http://metadata.example:6443"; });
  EXPECT_NE(probe(through).error.find("169.254.0.0/16"), std::string::npos) << "the proxy itself";
  net.add_host("proxy.example", "10.1.1.2");
  ClusterSpec behind = spec("http://169.254.169.254:6443", true);
  edit(behind, [](auto& connection) { connection.proxy_url = "http://proxy.example:3128"; });
  EXPECT_NE(probe(behind).error.find("169.254.0.0/16"), std::string::npos) << "what is asked of the proxy";
}

TEST_F(ClusterTest, AProxyOfOurEnvironmentIsForOperatorsKubeconfigsOnly) {
  ::setenv("HTTP_PROXY", "http://nowhere.example:3128", 1);
  const ClusterFacts trusted = probe(spec("http://api.example:6443", false));
  EXPECT_NE(trusted.error.find("nowhere.example"), std::string::npos) << trusted.error;
  EXPECT_TRUE(probe(spec("http://api.example:6443", true)).reachable);
  ::unsetenv("HTTP_PROXY");
}

TEST_F(ClusterTest, UntrustedKubeconfigsAreNotConnectedWhereNoRuleIsGiven) {
  deps.untrusted_filter = nullptr;
  const auto cluster = connect(spec("http://api.example:6443", true));
  ASSERT_FALSE(cluster);
  EXPECT_EQ(cluster.error().code, Code::kForbidden);
}

TEST_F(ClusterTest, APluginOfAnUntrustedKubeconfigIsNeverRun) {
  UvLoop real;
  kube::UvProcessRunner processes(real);
  deps.processes = &processes;
  ClusterSpec plugin = spec("http://api.example:6443", true);
  edit(plugin, [](auto& connection) {
    connection.has_exec = true;
    connection.exec.command = "/bin/true";
  });
  EXPECT_FALSE(connect(plugin));
  plugin.untrusted = false;
  EXPECT_TRUE(connect(plugin));
}

}  // namespace
}  // namespace gs::fleet
