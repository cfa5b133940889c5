#include "net/sim_net.h"

#include <gtest/gtest.h>

#include "net/stream_test_util.h"

namespace gs::net {
namespace {

using namespace std::chrono_literals;
using test::in;
using test::KeepAll;
using test::Recorder;
using test::run;

struct Sim {
  explicit Sim(uint64_t seed) : world(seed) { listener = *SimListener::listen(there, net, "server", 443, acceptor); }
  std::string dial(Recorder& client, MonoTime deadline = kNoDeadline, const std::string& host = "server") {
    auto result = run(here, connector.connect(Endpoint(host, 443), deadline));
    if (!result) return result.error().to_string();
    client.take(*std::move(result));
    world.run_until([&] { return !acceptor.peers.empty(); }, world.now() + 1s);
    return "";
  }
  bool wait(const std::function<bool()>& done, Duration limit = 1h) { return world.run_until(done, world.now() + limit); }

  SimWorld world;
  SimLoop& here = world.add_loop();
  SimLoop& there = world.add_loop();
  SimNet net{world};
  SimConnector connector{here, net, "client"};
  KeepAll acceptor;
  std::unique_ptr<SimListener> listener;
};

std::string pattern(size_t size) {
  std::string data(size, 'a');
  for (size_t i = 0; i < size; i += 101) data[i] = static_cast<char>(i * 7);
  return data;
}

TEST(SimNet, BytesArriveWholeAndInOrderWhateverTheSeed) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Sim sim(seed);
    sim.acceptor.echo = true;
    sim.net.default_link().max_chunk = 1 + seed * 37;
    Recorder client;
    ASSERT_EQ(sim.dial(client), "");
    const std::string data = pattern(300'000);
    client.stream->write(data);
    client.stream->shutdown();
    ASSERT_TRUE(sim.wait([&] { return client.received.size() == data.size(); })) << "seed " << seed;
    EXPECT_TRUE(client.received == data);
    ASSERT_TRUE(sim.wait([&] { return sim.acceptor.peers[0]->closed.has_value(); }));
    EXPECT_EQ(sim.acceptor.peers[0]->closed, "Unavailable: connection closed by peer");
    EXPECT_EQ(client.drained, 1);
  }
}

TEST(SimNet, TheSameSeedGivesTheSameRun) {
  const auto hash_of = [](uint64_t seed) {
    Sim sim(seed);
    sim.acceptor.echo = true;
    Recorder client;
    sim.dial(client);
    client.stream->write(pattern(100'000));
    sim.wait([&] { return client.received.size() == 100'000; });
    return sim.world.trace_hash();
  };
  EXPECT_EQ(hash_of(7), hash_of(7));
  EXPECT_NE(hash_of(7), hash_of(8));
}

TEST(SimNet, ASlowReaderMakesTheWritersBufferGrow) {
  Sim sim(1);
  Recorder client;
  ASSERT_EQ(sim.dial(client), "");
  sim.acceptor.peers[0]->stream->pause();
  client.stream->write(pattern(1'000'000));
  ASSERT_FALSE(sim.wait([&] { return client.stream->buffered() < 900'000; }, 10s));
  sim.acceptor.peers[0]->stream->resume();
  ASSERT_TRUE(sim.wait([&] { return client.stream->buffered() == 0; }));
  EXPECT_EQ(client.drained, 1);
}

TEST(SimNet, BandwidthIsKept) {
  Sim sim(1);
  sim.net.link("client", "server").bytes_per_second = 100'000;
  Recorder client;
  ASSERT_EQ(sim.dial(client), "");
  const MonoTime start = sim.world.now();
  client.stream->write(pattern(1'000'000));
  ASSERT_TRUE(sim.wait([&] { return sim.acceptor.peers[0]->received.size() == 1'000'000; }));
  EXPECT_GE(sim.world.now() - start, 9s);
  EXPECT_LE(sim.world.now() - start, 11s);
}

TEST(SimNet, DialsFailInTheWaysOfARealNetwork) {
  Sim sim(1);
  Recorder client;
  EXPECT_EQ(sim.dial(client, kNoDeadline, "nowhere"), "Unavailable: dial nowhere:443: no such host");
  sim.net.link("client", "server").refuse = true;
  EXPECT_EQ(sim.dial(client), "Unavailable: dial server:443: connection refused");
  sim.net.link("client", "server").refuse = false;
  sim.net.blackhole("client", "server");
  EXPECT_EQ(sim.dial(client, in(sim.here, 5s)), "DeadlineExceeded: dial server:443: deadline exceeded");
  EXPECT_EQ(sim.dial(client), "Unavailable: dial server:443: connection timed out");
  sim.net.heal("client", "server");
  EXPECT_EQ(sim.dial(client), "");
  sim.listener.reset();
  Recorder late;
  EXPECT_EQ(sim.dial(late), "Unavailable: dial server:443: connection refused");
}

TEST(SimNet, APartitionDelaysAndThenEverythingArrives) {
  Sim sim(1);
  sim.acceptor.echo = true;
  Recorder client;
  ASSERT_EQ(sim.dial(client), "");
  sim.net.partition("client", "server", 1min);
  client.stream->write("hello");
  ASSERT_FALSE(sim.wait([&] { return !client.received.empty(); }, 59s));
  ASSERT_TRUE(sim.wait([&] { return client.received == "hello"; }, 10s));
  sim.net.partition("client", "server");
  client.stream->write("!");
  ASSERT_FALSE(sim.wait([&] { return client.received.size() > 5; }, 10min));
  sim.net.heal("client", "server");
  ASSERT_TRUE(sim.wait([&] { return client.received == "hello!"; }, 10s));
}

TEST(SimNet, ABlackholeLeavesHalfOpenConnections) {
  Sim sim(1);
  Recorder client;
  ASSERT_EQ(sim.dial(client), "");
  sim.net.blackhole("client", "server");
  client.stream->write(pattern(400'000));
  ASSERT_FALSE(sim.wait([&] { return client.closed || !sim.acceptor.peers[0]->received.empty(); }, 10min));
  EXPECT_GT(client.stream->buffered(), ByteStream::kHighWater);
  sim.net.heal("client", "server");
  client.stream->write("x");
  ASSERT_FALSE(sim.wait([&] { return client.closed || !sim.acceptor.peers[0]->received.empty(); }, 10min));
}

TEST(SimNet, ResetHalfCloseAndCrash) {
  Sim sim(1);
  Recorder client;
  ASSERT_EQ(sim.dial(client), "");
  auto& peer = *sim.acceptor.peers[0];
  sim.net.half_close("server", "client");
  ASSERT_TRUE(sim.wait([&] { return client.closed.has_value(); }));
  EXPECT_EQ(client.closed, "Unavailable: connection closed by peer");
  client.stream->write("still there");
  ASSERT_TRUE(sim.wait([&] { return peer.received == "still there"; }));
  sim.net.reset("client", "server");
  ASSERT_TRUE(sim.wait([&] { return peer.closed.has_value(); }));
  EXPECT_EQ(peer.closed, "Unavailable: connection reset by peer");

  Recorder second;
  ASSERT_EQ(sim.dial(second), "");
  sim.net.crash("server");
  second.stream->write("x");
  ASSERT_FALSE(sim.wait([&] { return second.closed.has_value(); }, 10min));
  Recorder third;
  EXPECT_EQ(sim.dial(third), "Unavailable: dial server:443: connection refused");
}

TEST(SimNet, AResetOfAConnectionThatABlackHoleHasSwallowedTakesWhatWasUnderWayWithIt) {
  Sim sim(1);
  Recorder client;
  ASSERT_EQ(sim.dial(client), "");
  sim.net.link("client", "server").min_latency = sim.net.link("client", "server").max_latency = 1s;
  client.stream->write("under way");
  sim.world.run_for(1ms);
  sim.net.blackhole("client", "server");
  client.stream->write("swallowed");
  sim.world.run_for(1ms);
  sim.net.reset("client", "server");
  sim.world.run_for(10s);
  auto& peer = *sim.acceptor.peers[0];
  EXPECT_EQ(peer.received, "");
  EXPECT_FALSE(peer.closed.has_value()) << "nobody tells it anything";
}

TEST(SimNet, RandomResetsEndBothEnds) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Sim sim(seed);
    sim.net.default_link().reset_probability = 0.2;
    Recorder client;
    ASSERT_EQ(sim.dial(client), "");
    client.stream->write(pattern(2'000'000));
    ASSERT_TRUE(sim.wait([&] { return client.closed && sim.acceptor.peers[0]->closed; })) << "seed " << seed;
    const std::string& got = sim.acceptor.peers[0]->received;
    EXPECT_EQ(got, pattern(2'000'000).substr(0, got.size()));
  }
}

TEST(SimNet, StreamsMayBeDestroyedAtAnyPoint) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Sim sim(seed);
    Recorder client;
    client.destroy_on_data = client.destroy_on_close = true;
    ASSERT_EQ(sim.dial(client), "");
    auto& peer = *sim.acceptor.peers[0];
    peer.destroy_on_close = true;
    peer.stream->write(pattern(200'000));
    client.stream->write(pattern(200'000));
    ASSERT_TRUE(sim.wait([&] { return peer.closed.has_value(); }));
    EXPECT_EQ(sim.net.connections(), 0u);
  }
  // With a dial under way, and one not accepted yet.
  Sim sim(1);
  TaskScope scope(sim.here);
  std::optional<Result<std::unique_ptr<ByteStream>>> out;
  sim.here.post([&] { scope.spawn(test::store_result(sim.connector.connect(Endpoint("server", 443), kNoDeadline), out)); });
  sim.world.run_for(100us);
  scope.cancel();
  sim.world.run_for(1s);
  EXPECT_EQ(sim.net.connections(), 0u);
}

TEST(SimNet, HostsHaveAddressesThatRulesMayRefuse) {
  Sim sim(1);
  sim.net.add_host("server", "169.254.169.254");
  const DestinationFilter filter(default_cluster_deny_cidrs());
  SimConnector filtered(sim.here, sim.net, "client", &filter);
  auto result = run(sim.here, filtered.connect(Endpoint("server", 443), kNoDeadline));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kForbidden);
  Recorder client;
  EXPECT_EQ(sim.dial(client, kNoDeadline, "169.254.169.254"), "");
  EXPECT_EQ(client.stream->peer_address(), "169.254.169.254");
}

TEST(SimResolver, AnswersForHostsAndIsSilentWhereTold) {
  Sim sim(1);
  sim.net.add_host("server", "10.0.0.1");
  SimResolver resolver(sim.here, sim.net);
  auto found = run(sim.here, resolver.resolve("server", kNoDeadline));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->front().to_string(), "10.0.0.1");
  resolver.silence("server");
  auto silent = run(sim.here, resolver.resolve("server", in(sim.here, 1s)));
  EXPECT_EQ(silent.error().code, Code::kDeadlineExceeded);
}

}  // namespace
}  // namespace gs::net
