#include "net/tls.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <openssl/ssl.h>

#include "net/stream_test_util.h"
#include "net/tcp.h"
#include "test/support/certs.h"

namespace gs::net {
namespace {

using namespace std::chrono_literals;
using gs::test::CertOptions;
using gs::test::KeyPair;
using gs::test::make_ca;
using gs::test::make_cert;
using gs::test::make_client_cert;
using gs::test::make_server_cert;
using test::in;
using test::KeepAll;
using test::Recorder;
using test::run;
using test::wait;

struct TlsServer {
  TlsServer() { serve(make_server_cert(ca, {"server.test", "127.0.0.1"})); }

  std::shared_ptr<const Identity> identity(const KeyPair& pair) { return *context.identity(pair.cert_pem, pair.key_pem); }
  std::shared_ptr<const TrustStore> trust(const std::string& pem) { return *context.trust(pem); }
  void serve(const KeyPair& pair) {
    server.identity = identity(pair);
    secure.set_options(server);
  }
  TlsOptions options() {
    TlsOptions o;
    o.trust = trust(ca.cert_pem);
    o.server_name = "server.test";
    return o;
  }
  Result<std::unique_ptr<ByteStream>> dial(TlsOptions o) {
    TlsConnector connector(loop, context, tcp, std::move(o));
    return run(loop, connector.connect(Endpoint("127.0.0.1", listener->port()), in(loop, 10s)));
  }
  std::string refusal(TlsOptions o) {
    auto result = dial(std::move(o));
    return result ? "connected" : result.error().to_string();
  }

  UvLoop loop;
  TlsContext context;
  KeyPair ca = make_ca("test authority");
  CaresResolver resolver{loop};
  TcpConnector tcp{loop, resolver, nullptr};
  KeepAll acceptor;
  TlsServerOptions server;
  TlsAcceptor secure{loop, context, server, acceptor};
  std::unique_ptr<TcpListener> listener = *TcpListener::listen(loop, "127.0.0.1", 0, secure);
  Recorder client;
};

struct BothVersions : ::testing::TestWithParam<TlsVersion>, TlsServer {
  void SetUp() override {
    SSL_CTX_set_max_proto_version(context.get(), GetParam() == TlsVersion::k1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
  }
};

TEST_P(BothVersions, BytesGoBothWaysAndEndInGoodOrder) {
  acceptor.echo = true;
  client.take(*dial(options()));
  client.stream->write("hello ");
  client.stream->write("world");
  ASSERT_TRUE(wait(loop, [&] { return client.received == "hello world"; }));
  acceptor.peers[0]->stream->shutdown();
  ASSERT_TRUE(wait(loop, [&] { return client.closed.has_value(); }));
  EXPECT_EQ(client.closed, "Unavailable: connection closed by peer");
  // Our half is still open.
  client.stream->write("!");
  client.stream->shutdown();
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers[0]->closed.has_value(); }));
  EXPECT_EQ(acceptor.peers[0]->received, "hello world!");
}

TEST_P(BothVersions, ATruncatedConnectionIsAnError) {
  client.take(*dial(options()));
  client.stream->write("x");
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers.size() == 1 && acceptor.peers[0]->received == "x"; }));
  acceptor.peers[0]->stream.reset();
  ASSERT_TRUE(wait(loop, [&] { return client.closed.has_value(); }));
  EXPECT_EQ(client.closed, "Unavailable: connection closed without close_notify");
}

TEST_P(BothVersions, LargeTransfersBothWaysWithBackPressure) {
  client.take(*dial(options()));
  client.stream->write("x");
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers.size() == 1 && acceptor.peers[0]->received == "x"; }));
  auto& peer = *acceptor.peers[0];
  std::string data(12 * 1024 * 1024, 'a');
  for (size_t i = 0; i < data.size(); i += 997) data[i] = static_cast<char>(i);
  peer.stream->pause();
  client.stream->pause();
  client.stream->write(data);
  peer.stream->write(data);
  ASSERT_FALSE(wait(loop, [&] { return false; }, 100ms));
  EXPECT_EQ(client.received, "");
  EXPECT_GT(client.stream->buffered(), ByteStream::kHighWater);
  peer.stream->resume();
  ASSERT_TRUE(wait(loop, [&] { return peer.received.size() == data.size() + 1; }));
  client.stream->resume();
  ASSERT_TRUE(wait(loop, [&] { return client.received.size() == data.size(); }));
  EXPECT_TRUE(client.received == data && peer.received == "x" + data);
  EXPECT_EQ(client.drained, 1);
  EXPECT_EQ(peer.drained, 1);
}

// Just below the mark as it was written, above it once encrypted: whoever then waits must be told.
TEST_P(BothVersions, WhatOnlyEncryptionBringsAboveTheMarkDrainsToo) {
  client.take(*dial(options()));
  client.stream->write("x");
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers.size() == 1 && acceptor.peers[0]->received == "x"; }));
  auto& peer = *acceptor.peers[0];
  peer.stream->pause();
  const std::string some(16 * 1024, 's');
  while (client.stream->buffered() == 0) {
    client.stream->write(some);
    wait(loop, [&] { return client.stream->buffered() == 0; }, 20ms);
  }
  ASSERT_LT(client.stream->buffered(), ByteStream::kHighWater);
  ASSERT_EQ(client.drained, 0);
  client.stream->write(std::string(ByteStream::kHighWater - client.stream->buffered(), 'x'));
  wait(loop, [] { return false; }, 20ms);
  ASSERT_GT(client.stream->buffered(), ByteStream::kHighWater);
  peer.stream->resume();
  EXPECT_TRUE(wait(loop, [&] { return client.drained == 1; }));
}

TEST_P(BothVersions, ClientCertificatesAreVerifiedAndRead) {
  const KeyPair user = make_client_cert(ca, "alice", {"admins", "writers"});
  server.client_trust = trust(ca.cert_pem);
  server.client_certificate = ClientCertificate::kRequired;
  secure.set_options(server);
  TlsOptions o = options();
  o.identity = identity(user);
  client.take(*dial(o));
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers.size() == 1; }));
  const auto peer = peer_certificate(*acceptor.peers[0]->stream);
  ASSERT_TRUE(peer.has_value());
  EXPECT_EQ(peer->common_name, "alice");
  EXPECT_EQ(peer->organizations, (std::vector<std::string>{"admins", "writers"}));
  EXPECT_EQ(peer->not_verified, "");
}

TEST_P(BothVersions, AMissingClientCertificateIsUnauthorized) {
  server.client_trust = trust(ca.cert_pem);
  server.client_certificate = ClientCertificate::kRequired;
  secure.set_options(server);
  auto result = dial(options());
  if (result) {  // TLS 1.3: the client hears of it only after its own handshake
    client.take(*std::move(result));
    ASSERT_TRUE(wait(loop, [&] { return client.closed.has_value(); }));
    EXPECT_EQ(client.closed, "Unauthorized: TLS: peer: it requires a client certificate");
  } else {
    EXPECT_NE(result.error().message.find("handshake failure"), std::string::npos);
  }
}

TEST_P(BothVersions, ARequestedCertificateThatDoesNotVerifyIsToldApart) {
  server.client_trust = trust(ca.cert_pem);
  server.client_certificate = ClientCertificate::kRequested;
  secure.set_options(server);
  const KeyPair other = make_ca("other authority");
  TlsOptions o = options();
  o.identity = identity(make_client_cert(other, "mallory", {"system:masters"}));
  client.take(*dial(o));
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers.size() == 1; }));
  const auto peer = peer_certificate(*acceptor.peers[0]->stream);
  ASSERT_TRUE(peer.has_value());
  EXPECT_EQ(peer->common_name, "mallory");
  EXPECT_NE(peer->not_verified, "");
}

TEST_P(BothVersions, StreamsMayBeDestroyedAtAnyPoint) {
  for (int step = 0; step < 12; ++step) {
    TaskScope scope(loop);
    std::optional<Result<std::unique_ptr<ByteStream>>> out;
    TlsConnector connector(loop, context, tcp, options());
    loop.post([&] { scope.spawn(test::store_result(connector.connect(Endpoint("127.0.0.1", listener->port()), kNoDeadline), out)); });
    ASSERT_FALSE(wait(loop, [] { return false; }, step * 300us));
    scope.cancel();
  }
  Recorder careless;
  careless.destroy_on_data = true;
  careless.take(*dial(options()));
  careless.stream->write("go");
  Recorder* peer = nullptr;
  ASSERT_TRUE(wait(loop, [&] {
    for (auto& candidate : acceptor.peers) {
      if (candidate->received == "go") peer = candidate.get();
    }
    return peer != nullptr;
  }));
  peer->stream->write(std::string(100'000, 'x'));
  ASSERT_TRUE(wait(loop, [&] { return careless.stream == nullptr; }));
}

INSTANTIATE_TEST_SUITE_P(Versions, BothVersions, ::testing::Values(TlsVersion::k1_2, TlsVersion::k1_3),
                         [](const auto& info) { return info.param == TlsVersion::k1_2 ? "Tls12" : "Tls13"; });

struct TlsTrust : ::testing::Test, TlsServer {};

TEST_F(TlsTrust, RefusalsSayWhyInWords) {
  const KeyPair other = make_ca("other authority");
  TlsOptions wrong_host = options();
  wrong_host.server_name = "other.test";
  EXPECT_EQ(refusal(wrong_host),
            fmt::format("Unauthorized: 127.0.0.1:{}: certificate is valid for server.test, 127.0.0.1, not other.test",
                        listener->port()));
  TlsOptions wrong_address = options();
  wrong_address.server_name = "10.0.0.1";
  EXPECT_NE(refusal(wrong_address).find("not 10.0.0.1"), std::string::npos);
  TlsOptions unknown = options();
  unknown.trust = trust(other.cert_pem);
  EXPECT_NE(refusal(unknown).find("Unauthorized: "), std::string::npos);
  EXPECT_NE(refusal(unknown).find("certificate signed by unknown authority"), std::string::npos);
  unknown.insecure_skip_verify = true;
  EXPECT_EQ(refusal(unknown), "connected");

  CertOptions old;
  old.common_name = "server.test";
  old.dns_names = {"server.test"};
  old.not_before = -7200;
  old.not_after = -3600;
  serve(make_cert(old, &ca));
  EXPECT_NE(refusal(options()).find("certificate has expired"), std::string::npos);
  old.not_before = 3600;
  old.not_after = 7200;
  serve(make_cert(old, &ca));
  EXPECT_NE(refusal(options()).find("certificate is not valid yet"), std::string::npos);
  // A common name is not a host name.
  CertOptions nameless;
  nameless.common_name = "server.test";
  serve(make_cert(nameless, &ca));
  EXPECT_NE(refusal(options()).find("certificate has no names in it"), std::string::npos);
}

TEST_F(TlsTrust, AddressesAreVerifiedWithoutAName) {
  TlsOptions o = options();
  o.server_name.clear();
  EXPECT_EQ(refusal(o), "connected");
}

TEST_F(TlsTrust, ASelfSignedServerMayBeTrustedItself) {
  CertOptions self;
  self.common_name = "server.test";
  self.dns_names = {"server.test"};
  const KeyPair pair = make_cert(self);
  serve(pair);
  TlsOptions o = options();
  EXPECT_NE(refusal(o), "connected");
  o.trust = trust(pair.cert_pem);
  EXPECT_EQ(refusal(o), "connected");
}

TEST_F(TlsTrust, AnAuthorityIsRotatedWithAnOverlap) {
  const KeyPair next = make_ca("next authority");
  TlsOptions both = options();
  both.trust = trust(ca.cert_pem + next.cert_pem);
  EXPECT_EQ(refusal(both), "connected");
  serve(make_server_cert(next, {"server.test"}));
  EXPECT_EQ(refusal(both), "connected");
  EXPECT_NE(refusal(options()), "connected");
}

TEST_F(TlsTrust, AlpnIsTheServersChoice) {
  server.alpn = {"h2", "http/1.1"};
  secure.set_options(server);
  TlsOptions o = options();
  o.alpn = {"http/1.1", "h2"};
  EXPECT_EQ((*dial(o))->alpn(), "h2");
  o.alpn = {};
  EXPECT_EQ((*dial(o))->alpn(), "");
  o.alpn = {"spdy"};
  EXPECT_NE(refusal(o), "connected");
}

TEST_F(TlsTrust, AServerThatDoesNotSpeakTlsIsNamedSo) {
  struct Plain final : Listener::Acceptor {
    void accepted(std::unique_ptr<ByteStream> stream) override {
      recorder.take(std::move(stream));
      recorder.stream->write("HTTP/1.1 400 Bad Request\r\n\r\n");
    }
    Recorder recorder;
  } plain;
  listener = *TcpListener::listen(loop, "127.0.0.1", 0, plain);
  EXPECT_NE(refusal(options()).find("does not speak TLS"), std::string::npos);
}

TEST_F(TlsTrust, AHandshakeThatGetsNoAnswerEndsAtTheDeadline) {
  listener = *TcpListener::listen(loop, "127.0.0.1", 0, acceptor);
  TlsConnector connector(loop, context, tcp, options());
  auto result = run(loop, connector.connect(Endpoint("127.0.0.1", listener->port()), in(loop, 50ms)));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kDeadlineExceeded);
}

TEST_F(TlsTrust, PemErrorsAreInWords) {
  const KeyPair a = make_server_cert(ca, {"a"});
  const KeyPair b = make_server_cert(ca, {"b"});
  EXPECT_EQ(context.identity(a.cert_pem, b.key_pem).error().message,
            "the private key does not belong to the certificate");
  EXPECT_EQ(context.identity(a.cert_pem, "").error().message, "no PRIVATE KEY block in the PEM data");
  EXPECT_EQ(context.identity("", a.key_pem).error().message, "no CERTIFICATE block in the PEM data");
  EXPECT_EQ(context.trust("hello").error().message, "no CERTIFICATE block in the PEM data");
  std::string damaged = ca.cert_pem;
  damaged[100] = '!';
  EXPECT_EQ(context.trust(damaged).error().code, Code::kInvalid);
  EXPECT_NE(context.trust(ca.cert_pem + damaged).error().message.find("certificate 2"), std::string::npos);
  EXPECT_TRUE(context.identity(a.cert_pem + ca.cert_pem, a.key_pem).has_value());
}

TEST_F(TlsTrust, ACertificateThatCannotBeUsedIsAnErrorAndNotACrash) {
  CertOptions weak;
  weak.common_name = "weak";
  weak.rsa_bits = 1024;
  const KeyPair pair = make_cert(weak, &ca);
  const auto refused = context.identity(pair.cert_pem, pair.key_pem);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().to_string(), "Invalid: the certificate cannot be used: ee key too small");
}

TEST_F(TlsTrust, NamesThatNoCertificateCanBeVerifiedForAreRefused) {
  using std::string_literals::operator""s;
  const std::string names[] = {".", "..", ".test", "server..test", "*.test", "a b", "server.test\0"s, "\0"s, std::string(300, 'a')};
  for (const std::string& name : names) {
    TlsOptions o = options();
    o.server_name = name;
    const auto result = dial(std::move(o));
    ASSERT_FALSE(result.has_value()) << name;
    EXPECT_EQ(result.error().code, Code::kInvalid) << name << ": " << result.error().to_string();
  }
  TlsOptions o = options();
  o.server_name = "Server.Test.";
  EXPECT_TRUE(dial(std::move(o)).has_value());
}

TEST_F(TlsTrust, EqualContentIsHeldOnce) {
  EXPECT_EQ(trust(ca.cert_pem), trust(ca.cert_pem));
  const KeyPair a = make_server_cert(ca, {"a"});
  EXPECT_EQ(identity(a), identity(a));
}

Task<void> dial_and_forget(TlsConnector& connector, Endpoint endpoint, MonoTime deadline) {
  auto dialling = connector.connect(std::move(endpoint), deadline);
  const auto stream = co_await dialling;
}

TEST_F(TlsTrust, ASilentPeerHoldsAPlaceAmongHandshakesForAMomentOnly) {
  KeepAll silent;
  const auto mute = *TcpListener::listen(loop, "127.0.0.1", 0, silent);
  Semaphore places(loop, 1);
  TlsConnector connector(loop, context, tcp, options());
  connector.limit(&places);
  TaskScope scope(loop);
  loop.post([&] { scope.spawn(dial_and_forget(connector, Endpoint("127.0.0.1", mute->port()), in(loop, 60s))); });
  ASSERT_TRUE(wait(loop, [&] { return places.free() == 0; }));
  const auto next = run(loop, connector.connect(Endpoint("127.0.0.1", listener->port()), in(loop, 10s)));
  EXPECT_TRUE(next.has_value());
  EXPECT_EQ(places.free(), 1u);
  EXPECT_EQ(scope.size(), 1u) << "the silent one goes on, without a place";
}

// A figure, not a limit: heap of both ends of an idle connection.
TEST_F(TlsTrust, AnIdleConnectionIsSmall) {
  const auto connect_many = [&](std::vector<std::unique_ptr<Recorder>>& clients, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      clients.push_back(std::make_unique<Recorder>());
      clients.back()->take(*dial(options()));
    }
  };
  std::vector<std::unique_ptr<Recorder>> clients;
  connect_many(clients, 20);
  const size_t before = mallinfo2().uordblks;
  connect_many(clients, 100);
  ASSERT_TRUE(wait(loop, [&] { return acceptor.peers.size() == 120; }));
  const size_t bytes = (mallinfo2().uordblks - before) / 100;
  RecordProperty("idle_tls_pair_bytes", static_cast<int>(bytes));
  std::printf("heap of an idle TLS connection, both ends: %zu bytes\n", bytes);
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_LT(bytes, 80u * 1024);
#endif
}

}  // namespace
}  // namespace gs::net
