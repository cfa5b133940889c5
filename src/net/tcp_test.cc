#include "net/tcp.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/stream_test_util.h"

namespace gs::net {
namespace {

using namespace std::chrono_literals;
using test::in;
using test::KeepAll;
using test::Recorder;
using test::run;
using test::wait;

struct FixedResolver final : Resolver {
  Task<Result<std::vector<IpAddress>>> resolve(std::string, MonoTime) override { co_return addresses; }
  std::vector<IpAddress> addresses;
};

struct Tcp : ::testing::Test {
  std::unique_ptr<ByteStream> dial(const std::string& host, uint16_t port) {
    auto result = run(loop, connector.connect(Endpoint(host, port), in(loop, 10s)));
    EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().to_string());
    return result ? *std::move(result) : nullptr;
  }
  void listen() { listener = *TcpListener::listen(loop, "127.0.0.1", 0, acceptor); }

  UvLoop loop;
  CaresResolver resolver{loop};
  TcpConnector connector{loop, resolver, nullptr};
  KeepAll acceptor;
  std::unique_ptr<TcpListener> listener;
  Recorder client;
};

TEST_F(Tcp, BytesGoBothWaysAndBothEndsSeeTheEnd) {
  acceptor.echo = true;
  listen();
  client.take(dial("localhost", listener->port()));
  client.stream->write("hello ");
  client.stream->write("world");
  client.stream->shutdown();
  ASSERT_TRUE(wait(loop, [&] { return client.received == "hello world"; }));
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers[0]->closed.has_value(); }));
  EXPECT_EQ(acceptor.peers[0]->closed, "Unavailable: connection closed by peer");
  EXPECT_EQ(acceptor.peers[0]->stream->peer_address(), "127.0.0.1");
  acceptor.peers[0]->stream.reset();
  ASSERT_TRUE(wait(loop, [&] { return client.closed.has_value(); }));
}

TEST_F(Tcp, ALargeTransferWaitsForASlowReaderAndThenDrains) {
  listen();
  client.take(dial("127.0.0.1", listener->port()));
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers.size() == 1; }));
  acceptor.peers[0]->stream->pause();
  const std::string data(16 * 1024 * 1024, 'x');
  client.stream->write(data);
  ASSERT_FALSE(wait(loop, [&] { return client.stream->buffered() == 0; }, 100ms));
  EXPECT_EQ(acceptor.peers[0]->received, "");
  EXPECT_EQ(client.drained, 0);
  acceptor.peers[0]->stream->resume();
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers[0]->received.size() == data.size(); }));
  EXPECT_EQ(client.drained, 1);
}

TEST_F(Tcp, WhatWasWrittenBeforeShutdownArrivesAlthoughTheReaderWasSlow) {
  listen();
  client.take(dial("127.0.0.1", listener->port()));
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers.size() == 1; }));
  acceptor.peers[0]->stream->pause();
  client.stream->write(std::string(8 * 1024 * 1024, 'x'));
  client.stream->shutdown();
  ASSERT_FALSE(wait(loop, [&] { return false; }, 50ms));
  acceptor.peers[0]->stream->resume();
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers[0]->closed.has_value(); }));
  EXPECT_EQ(acceptor.peers[0]->received.size(), 8u * 1024 * 1024);
}

TEST_F(Tcp, AStreamMayBeDestroyedFromItsOwnCallbacks) {
  listen();
  Recorder a;
  a.destroy_on_close = true;
  a.take(dial("127.0.0.1", listener->port()));
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers.size() == 1; }));
  acceptor.peers[0]->destroy_on_data = true;
  a.stream->write("x");
  ASSERT_TRUE(wait(loop, [&] { return a.closed.has_value(); }));
  EXPECT_EQ(a.stream, nullptr);
}

TEST_F(Tcp, DestroyingAStreamWithUnsentBytesIsSafe) {
  listen();
  client.take(dial("127.0.0.1", listener->port()));
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers.size() == 1; }));
  acceptor.peers[0]->stream->pause();
  client.stream->write(std::string(16 * 1024 * 1024, 'x'));
  ASSERT_FALSE(wait(loop, [&] { return false; }, 20ms));
  client.stream->write("more");
  client.stream.reset();
  ASSERT_FALSE(wait(loop, [&] { return false; }, 20ms));
  EXPECT_FALSE(client.closed.has_value());
}

TEST_F(Tcp, WritingToAPeerThatWentAwayEndsInOneOnClosed) {
  listen();
  client.take(dial("127.0.0.1", listener->port()));
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers.size() == 1; }));
  client.stream->pause();
  acceptor.peers[0]->stream.reset();
  client.stream->write("x");
  ASSERT_FALSE(wait(loop, [&] { return client.closed.has_value(); }, 50ms));
  client.stream->write("y");
  ASSERT_TRUE(wait(loop, [&] { return client.closed.has_value(); }));
  EXPECT_EQ(client.closed, "Unavailable: broken pipe");
}

TEST_F(Tcp, ARefusedDialSaysSo) {
  auto result = run(loop, connector.connect(Endpoint("127.0.0.1", 1), in(loop, 5s)));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().to_string(), "Unavailable: dial 127.0.0.1:1: 127.0.0.1: connection refused");
}

TEST_F(Tcp, TheNextAddressIsTriedWhenOneDoesNotAnswer) {
  listen();
  FixedResolver fixed;
  // TEST-NET-1 answers nobody (or is unreachable at once); then a refusing one; then ours.
  fixed.addresses = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("127.0.0.2"), *IpAddress::parse("127.0.0.1")};
  TcpConnector all(loop, fixed, nullptr);
  auto result = run(loop, all.connect(Endpoint("name", listener->port()), in(loop, 5s)));
  ASSERT_TRUE(result.has_value()) << result.error().to_string();
  EXPECT_EQ((*result)->peer_address(), "127.0.0.1");
}

TEST_F(Tcp, ANameThatResolvesToAForbiddenAddressIsRefused) {
  listen();
  const DestinationFilter filter(default_cluster_deny_cidrs());
  TcpConnector filtered(loop, resolver, &filter);
  auto result = run(loop, filtered.connect(Endpoint("localhost", listener->port()), in(loop, 5s)));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kForbidden);
  EXPECT_TRUE(acceptor.peers.empty());
}

TEST_F(Tcp, DestroyingTheFrameAbandonsTheDialAtAnyPoint) {
  listen();
  {
    TaskScope scope(loop);
    std::optional<Result<std::unique_ptr<ByteStream>>> out;
    loop.post([&] {
      for (int i = 0; i < 8; ++i) {
        scope.spawn(test::store_result(connector.connect(Endpoint("localhost", listener->port()), kNoDeadline), out));
      }
    });
    loop.run_until([&] { return scope.size() == 8; });
  }
  ASSERT_FALSE(wait(loop, [&] { return false; }, 20ms));
}

TEST_F(Tcp, ListeningOnATakenPortSaysSo) {
  listen();
  auto second = TcpListener::listen(loop, "127.0.0.1", listener->port(), acceptor);
  ASSERT_FALSE(second.has_value());
  EXPECT_NE(second.error().message.find("address already in use"), std::string::npos);
}

// A name server on loopback that answers only "alive.test" (A 10.1.2.3, no AAAA), and may not.
struct NameServer {
  explicit NameServer(UvLoop& loop) {
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(fd, reinterpret_cast<sockaddr*>(&address), size);
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    options.servers = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
    poll->data = this;
    uv_poll_init(loop.uv(), poll, fd);
    uv_poll_start(poll, UV_READABLE, [](uv_poll_t* p, int, int) { static_cast<NameServer*>(p->data)->answer(); });
  }
  ~NameServer() {
    UvLoop::close_and_delete(poll);
    close(fd);
  }
  void answer() {
    char buffer[1024];
    sockaddr_in from{};
    socklen_t size = sizeof from;
    ssize_t n = 0;
    while ((n = recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size)) > 0) {
      ++queries;
      std::string query(buffer, static_cast<size_t>(n));
      if (query.find(std::string("\5alive\4test\0", 12)) == std::string::npos) continue;
      const size_t end = query.find('\0', 12) + 5;
      const bool a = query[end - 3] == 1;
      std::string reply = query.substr(0, end);
      reply[2] = static_cast<char>(0x81);
      reply[3] = static_cast<char>(0x80);
      reply[7] = a ? 1 : 0;
      reply[11] = 0;
      if (a) reply += std::string("\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\1\2\3", 16);
      sendto(fd, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }
  int fd = -1;
  int queries = 0;
  uv_poll_t* poll = new uv_poll_t{};
  DnsOptions options;
};

TEST(Dns, AHundredNamesThatNeverAnswerDoNotDelayTheNext) {
  UvLoop loop;
  NameServer server(loop);
  CaresResolver resolver(loop, server.options);
  TaskScope scope(loop);
  std::vector<std::optional<Result<std::vector<IpAddress>>>> dead(100);
  loop.post([&] {
    for (size_t i = 0; i < dead.size(); ++i) {
      scope.spawn(test::store_result(resolver.resolve(fmt::format("dead{}.test.", i), kNoDeadline), dead[i]));
    }
  });
  loop.run_until([&] { return server.queries >= 100; });
  const MonoTime start = loop.now();
  auto alive = run(loop, resolver.resolve("alive.test.", in(loop, 10s)));
  EXPECT_LT(loop.now() - start, 1s);
  ASSERT_TRUE(alive.has_value()) << alive.error().to_string();
  ASSERT_EQ(alive->size(), 1u);
  EXPECT_EQ(alive->front().to_string(), "10.1.2.3");
  EXPECT_EQ(scope.size(), 100u);
  scope.cancel();
}

TEST(Dns, ANameThatNobodyAnswersFailsAfterTheWrittenTime) {
  UvLoop loop;
  NameServer server(loop);
  server.options.timeout = 100ms;
  server.options.tries = 2;
  CaresResolver resolver(loop, server.options);
  const MonoTime start = loop.now();
  auto result = run(loop, resolver.resolve("dead.test.", kNoDeadline));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().to_string(), "Unavailable: lookup dead.test.: no name server answered");
  EXPECT_LT(loop.now() - start, 5s);
}

TEST(Dns, TheCallersDeadlineIsKept) {
  UvLoop loop;
  NameServer server(loop);
  CaresResolver resolver(loop, server.options);
  auto result = run(loop, resolver.resolve("dead.test.", in(loop, 50ms)));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kDeadlineExceeded);
}

TEST(Dns, NumericHostsAndTheHostsFileAreAnsweredWithoutAServer) {
  UvLoop loop;
  NameServer server(loop);
  CaresResolver resolver(loop, server.options);
  for (const char* numeric : {"10.0.0.1", "::1"}) {
    auto result = run(loop, resolver.resolve(numeric, kNoDeadline));
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(result->front().to_string(), numeric);
  }
  auto local = run(loop, resolver.resolve("localhost", in(loop, 1s)));
  ASSERT_TRUE(local.has_value());
  EXPECT_TRUE(local->front().is_loopback());
  EXPECT_EQ(server.queries, 0);
}

}  // namespace
}  // namespace gs::net
