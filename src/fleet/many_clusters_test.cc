// A hundred clusters whose name servers never answer, and one that is well.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fleet/cluster.h"
#include "net/sim_net.h"
#include "net/stream_test_util.h"
#include "net/tcp.h"
#include "test/support/fake_api.h"

namespace gs::fleet {
namespace {

using namespace std::chrono_literals;

constexpr int kDead = 100;
constexpr size_t kPermits = 8;

struct Nobody final : Cluster::Observer {
  void facts_changed(Cluster&) override {}
};
struct Ignore final : cache::InformerHandler {
  void on_added(const kube::ObjectRef&, bool) override {}
  void on_updated(const kube::ObjectRef&, const kube::ObjectRef&) override {}
  void on_deleted(const kube::ObjectRef&, bool) override {}
};

// What is attached, and three informers of each.
class Fleet {
 public:
  explicit Fleet(ClusterDeps& deps) : deps_(deps) {}
  Cluster& attach(const std::string& name, const std::string& server) {
    ClusterSpec spec;
    spec.name = name;
    kube::ConnectionConfig connection;
    connection.server = kube::parse_server_url(server).value();
    spec.connection = std::make_shared<const kube::ConnectionConfig>(std::move(connection));
    clusters_.push_back(Cluster::connect(deps_, spec, ClusterId(static_cast<uint32_t>(clusters_.size() + 1)), nobody_).value());
    for (const char* resource : {"configmaps", "secrets", "pods"}) {
      cache::InformerKey key;
      key.resource = cache::GroupVersionResource("", "v1", resource);
      handles_.push_back(clusters_.back()->informers().acquire(key, ignore_));
    }
    return *clusters_.back();
  }
  // Of the cluster that was attached last.
  bool synced() const {
    return std::all_of(handles_.end() - 3, handles_.end(), [](const auto& handle) { return handle->synced(); });
  }

 private:
  ClusterDeps& deps_;
  Nobody nobody_;
  Ignore ignore_;
  std::vector<std::unique_ptr<Cluster>> clusters_;
  std::vector<cache::InformerHandle> handles_;
};

test::CannedAnswer empty_collections(const net::HttpRequest& request) {
  test::CannedAnswer answer;
  answer.status = 0;
  if (request.target.find("watch=true") == std::string::npos) return answer;
  answer.status = 200;
  answer.hold = true;
  answer.body = R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5","annotations":{"k8s.io/initial-events-end":"true"}}}})";
  return answer;
}

// Dials in the simulated network by names that are resolved first.
class ResolvingConnector final : public net::Connector {
 public:
  ResolvingConnector(net::Resolver& resolver, net::Connector& lower) : resolver_(resolver), lower_(lower) {}
  Task<Result<std::unique_ptr<net::ByteStream>>> connect(net::Endpoint endpoint, MonoTime deadline) override {
    auto resolving = resolver_.resolve(endpoint.host, deadline);
    GS_CO_TRY(const auto addresses, co_await resolving);
    auto dialling = lower_.connect(net::Endpoint(addresses.front().to_string(), endpoint.port), deadline);
    co_return co_await dialling;
  }

 private:
  net::Resolver& resolver_;
  net::Connector& lower_;
};

TEST(ManyClusters, AHundredWhoseNamesNobodyAnswersDoNotDelayTheNextInTheSimulation) {
  SimWorld world(4);
  SimLoop& loop = world.add_loop();
  net::SimNet net(world);
  test::FakeApi api(loop);
  api.script = &empty_collections;
  net.add_host("alive.example", "10.0.0.1");
  const auto listener = net::SimListener::listen(loop, net, "alive.example", 6443, api.acceptor()).value();
  net::SimResolver resolver(loop, net);
  net::SimConnector lower(loop, net, "plane");
  ResolvingConnector tcp(resolver, lower);
  net::TlsContext tls;
  Semaphore permits(loop, kPermits);
  ClusterDeps deps(loop, tls, tcp);
  deps.reflector.list_permits = &permits;
  Fleet fleet(deps);
  for (int i = 0; i < kDead; ++i) {
    const std::string name = fmt::format("dead-{}.example", i);
    net.add_host(name, fmt::format("10.0.1.{}", i));
    resolver.silence(name);
    fleet.attach(name, "http://" + name + ":6443");
  }
  for (const Duration later : {Duration(0s), Duration(3s), Duration(10min)}) {
    world.run_for(later);
    const Cluster& alive = fleet.attach("alive", "http://alive.example:6443");
    world.run_for(500ms);
    EXPECT_TRUE(alive.facts().reachable) << alive.facts().error;
    EXPECT_TRUE(fleet.synced()) << "after " << to_seconds(later) << " s";
    EXPECT_EQ(permits.free(), kPermits);
  }
}

TEST(ManyClusters, AHundredWhoseNamesNobodyAnswersDoNotDelayTheNextInReality) {
  const int silent = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(silent, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  socklen_t size = sizeof address;
  ::getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size);
  {
    UvLoop loop;
    net::DnsOptions dns;
    dns.servers = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
    net::CaresResolver resolver(loop, dns);
    net::TcpConnector tcp(loop, resolver, nullptr);
    test::FakeApi api(loop);
    api.script = &empty_collections;
    const auto listener = net::TcpListener::listen(loop, "127.0.0.1", 0, api.acceptor()).value();
    net::TlsContext tls;
    Semaphore permits(loop, kPermits);
    ClusterDeps deps(loop, tls, tcp);
    deps.reflector.list_permits = &permits;
    auto fleet = std::make_unique<Fleet>(deps);
    bool attached = false;
    const Cluster* alive = nullptr;
    MonoTime begun{};
    loop.post([&] {
      for (int i = 0; i < kDead; ++i) fleet->attach("dead", fmt::format("http://dead-{}.example.:6443", i));
      begun = loop.now();
      alive = &fleet->attach("alive", fmt::format("http://localhost:{}", listener->port()));
      attached = true;
    });
    EXPECT_TRUE(net::test::wait(loop, [&] { return attached && fleet->synced() && alive->facts().reachable; }, 20s));
    EXPECT_LT(loop.now() - begun, 5s) << "dead names take six seconds to fail";
    bool gone = false;
    loop.post([&] {
      fleet.reset();
      gone = true;
    });
    net::test::wait(loop, [&] { return gone; });
  }
  ::close(silent);
}

}  // namespace
}  // namespace gs::fleet
